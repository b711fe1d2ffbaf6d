"""What `extract_frames` stores for a clip, and pictures of clips that could not be decoded."""
