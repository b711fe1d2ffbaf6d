"""Texts of questions and options: cleaned, compared, duplicates found."""
