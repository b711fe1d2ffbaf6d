"""The report people look at: one page, one model card, both made from the run's own files."""
