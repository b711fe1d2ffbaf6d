"""What `extract_frames` stores of a clip, and pictures of clips that could not be decoded."""
