"""What makes a dataset fit to train on: leakage, shortcuts, duplicates, broken files."""
