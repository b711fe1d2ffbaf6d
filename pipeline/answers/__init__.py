"""What a model is asked and how its answer is parsed: prompts, the one answer parser, key times. Imports no torch."""
