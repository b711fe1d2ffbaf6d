"""A task for a worker process that takes as much memory as it is told to."""


def swallow(megabytes: int) -> int:
    """Fill so many MiB."""
    block = bytearray(megabytes << 20)
    block[:: 1 << 12] = b"x" * len(block[:: 1 << 12])
    return megabytes
