"""A procedurally rendered egocentric world, encoded to real video files: the embedded default's data."""

from pipeline.sources.synthetic.source import SyntheticSource

__all__ = ["SyntheticSource"]
