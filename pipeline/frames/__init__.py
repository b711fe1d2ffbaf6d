"""Frames of clips: sizes, sampling, JPEG, sharded stores. Every stage that sees pictures reads them."""
