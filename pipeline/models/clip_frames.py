"""The frames of a clip, as a model takes them. This file needs no torch: rewards are named in processes without it."""

from typing import Any, Protocol


class ClipFrames(Protocol):
    """Frames of a clip: `images` uint8 [T, H, W, 3] RGB, `pts_seconds` float64 [T]."""

    @property
    def images(self) -> Any: ...

    @property
    def pts_seconds(self) -> Any: ...
