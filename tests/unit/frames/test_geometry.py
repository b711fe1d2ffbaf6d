import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ItemError
from pipeline.frames.geometry import FrameSize, Orientation, orientation_of

ONE = 65536


@given(st.integers(1, 4000), st.integers(1, 4000), st.sampled_from([4, 16, 28]))
def test_a_fitted_size_obeys_the_rule(width: int, height: int, multiple: int) -> None:
    size = FrameSize(128 * 28 * 28, multiple)
    if max(width, height) / min(width, height) > 200:
        with pytest.raises(ItemError, match="extreme_aspect"):
            size.fit(width, height)
        return
    w, h = size.fit(width, height)
    assert w % multiple == h % multiple == 0
    assert w * h <= size.max_pixels or multiple in (w, h)  # a very long picture is one multiple high
    assert size.fit(height, width) == (h, w)


def test_sizes_are_those_of_smart_resize() -> None:
    """Values of qwen_vl_utils.smart_resize(h, w, 28, min_pixels=1, max_pixels=...)."""
    assert FrameSize(100352, 28).fit(1920, 1080) == (420, 224)
    assert FrameSize(100352, 28).fit(640, 480) == (364, 252)
    assert FrameSize(12845056, 28).fit(640, 480) == (644, 476)
    assert FrameSize(2304, 16).fit(192, 192) == (48, 48)


@pytest.mark.parametrize(
    ("matrix", "expected", "corner"),
    [
        ((ONE, 0, 0, 0, ONE, 0, 0, 0, 1), Orientation(0), (0, 0)),
        ((0, ONE, 0, -ONE, 0, 0, 0, 0, 1), Orientation(90), (0, -1)),
        ((-ONE, 0, 0, 0, -ONE, 0, 0, 0, 1), Orientation(180), (-1, -1)),
        ((0, -ONE, 0, ONE, 0, 0, 0, 0, 1), Orientation(270), (-1, 0)),
        ((-ONE, 0, 0, 0, ONE, 0, 0, 0, 1), Orientation(0, mirrored=True), (0, -1)),
    ],
)
def test_a_display_matrix_moves_the_first_pixel_where_it_says(
    matrix: tuple[int, ...], expected: Orientation, corner: tuple[int, int]
) -> None:
    image = np.zeros((2, 3, 3), np.uint8)
    image[0, 0] = 255
    turn = orientation_of(matrix)
    assert turn == expected
    upright = turn.apply(image)
    assert upright.shape == ((3, 2, 3) if expected.swaps_sides else (2, 3, 3))
    assert upright[corner].tolist() == [255, 255, 255]


def test_a_slanted_display_matrix_is_refused() -> None:
    with pytest.raises(ItemError, match="odd_rotation"):
        orientation_of((46341, 46341, 0, -46341, 46341, 0, 0, 0, 1))
