"""Clips as the work of a stage: what it is asked for, and shards made again only if their clips changed."""
