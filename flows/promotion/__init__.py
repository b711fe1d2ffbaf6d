"""Which model is the champion, and whether a new one takes its place."""
