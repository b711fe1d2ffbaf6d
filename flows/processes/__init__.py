"""Run a command, read its lines, and end everything it started."""
