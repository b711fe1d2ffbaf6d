"""Multiple-choice questions: prompts and the one answer parser. Imports no torch."""
