"""Clean and compare the texts of questions and options, and find duplicates."""
