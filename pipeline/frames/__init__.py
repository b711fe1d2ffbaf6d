"""Frames of clips: sizes, sampling, JPEG, sharded stores. What every stage that sees pictures reads."""
