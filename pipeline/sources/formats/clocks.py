"""The frame rate behind an annotation's frame numbers: it belongs to the data set that was annotated.

A copy of a video may have a different rate from the original, so the file at hand cannot tell. (EPIC-KITCHENS is
distributed at 30 and 29.97 frames per second, and annotated at 50 or 60.)
"""

import re
from pathlib import PurePosixPath

from pipeline.sources.recordings import UUID

EPIC_55 = re.compile(r"P\d\d_\d\d(?!\d)")
EPIC_100 = re.compile(r"P\d\d_\d{3}(?!\d)")


def clock_of(video: str) -> float | None:
    """Frames per second behind annotations of the video named `video`; None if the name fits no known data set.

    EPIC-KITCHENS-55 (ids of two digits) counts 60, its extension to 100 (three digits) 50; Ego4D counts its canonical
    videos' 30. Derived from the published rows of EgoPlan: frames divided by seconds of the same actions.
    """
    stem = PurePosixPath(video).stem
    if EPIC_100.match(stem):
        return 50.0
    if EPIC_55.match(stem):
        return 60.0
    return 30.0 if UUID.search(video.lower()) else None
