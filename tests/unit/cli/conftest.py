"""A short real video and a saved policy."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.sources.encode import write_mp4
from tests.support.random_policy import make_random_policy

SECONDS = 4


@pytest.fixture(scope="session")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds, 96 x 96 pixels, 10 frames a second: a square that jumps at 2 s."""
    frames = []
    for i in range(10 * SECONDS):
        image = np.full((96, 96, 3), 120, np.uint8)
        left = 10 if i < 20 else 60
        image[30:60, left : left + 25] = (220, 40, 40)
        frames.append(image)
    path = tmp_path_factory.mktemp("videos") / "jump.mp4"
    write_mp4(path, frames, (96, 96), 10, 20)
    return path


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that `from_pretrained` loads: random weights."""
    folder = tmp_path_factory.mktemp("model")
    policy = make_random_policy()
    policy.model.save_pretrained(folder, safe_serialization=True)
    policy.tokenizer.save_pretrained(folder)
    return folder
