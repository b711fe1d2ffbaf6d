"""Predict, score, compare: one parser, controls beside every score, intervals, submission files."""
