"""One function over many items: worker processes or Ray, with time and memory limits; shards made incrementally."""
