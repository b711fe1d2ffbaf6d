"""A procedurally rendered egocentric world with known events, encoded to real video files."""
