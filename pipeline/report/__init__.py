"""The report for people: one page and one model card, both made from the run's own files."""
