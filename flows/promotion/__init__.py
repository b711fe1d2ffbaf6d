"""Which model is the champion, and whether a new one replaces it."""
