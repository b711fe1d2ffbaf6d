"""A procedurally rendered egocentric world with known events, and its encoding to real video files."""
