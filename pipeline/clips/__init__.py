"""Clips as a stage's work items, and shards that are made again only if their clips changed."""
