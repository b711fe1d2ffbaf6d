"""What a model is shown of a clip. Apart from the rest of the room, which needs torch: rewards are named without it."""

from typing import Any, Protocol


class ClipFrames(Protocol):
    """Frames of a clip: `images` uint8 [T, H, W, 3] RGB, `pts_seconds` float64 [T]."""

    @property
    def images(self) -> Any: ...

    @property
    def pts_seconds(self) -> Any: ...
