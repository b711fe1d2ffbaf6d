"""Predict, score, compare: one parser, controls with every score, intervals, submission files."""
