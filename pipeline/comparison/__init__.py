"""Two models side by side, and whether one replaces the other. Pure."""
