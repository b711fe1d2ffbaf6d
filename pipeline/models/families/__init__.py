"""What is a model family's own, one file each."""
