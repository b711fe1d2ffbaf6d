"""Keyframe mining: signals, scores, selection."""
