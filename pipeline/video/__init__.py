"""Sampling (pure), decoding and the frame store."""
