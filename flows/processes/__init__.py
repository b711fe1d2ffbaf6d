"""A command and its lines, and the end of everything it started."""
