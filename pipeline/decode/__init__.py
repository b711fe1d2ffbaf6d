"""Decoding chosen frames of a video exactly: packet plans, PyAV, decord."""
