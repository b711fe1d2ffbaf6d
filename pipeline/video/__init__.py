"""Video files: containers, packet plans and decoders."""
