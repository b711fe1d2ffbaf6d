"""Building five-option questions from annotations: distractors, blocks, balance."""
