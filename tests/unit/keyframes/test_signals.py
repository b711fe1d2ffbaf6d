from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.errors import ParamsError
from pipeline.keyframes.activity import fixation, measure_changes, skin_mask
from pipeline.keyframes.examples import named_colours
from pipeline.keyframes.motion import STILL, displacement, phase_shift, refine_ecc, residual, track_affine
from pipeline.keyframes.scorers import load_scorer
from pipeline.keyframes.signals import SIGNALS
from pipeline.keyframes.views import Views, make_views
from tests.unit.decode.odd_files import write

SIZE = (160, 96)


def room(seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    wall = np.full((300, 500, 3), 120, np.uint8)
    for _ in range(150):
        x, y, w, h = rng.integers(0, 460), rng.integers(0, 270), rng.integers(8, 60), rng.integers(8, 50)
        wall[y : y + h, x : x + w] = rng.integers(40, 200, 3) * np.array([0.5, 0.8, 1.0])  # bluish: no skin
    return cv2.GaussianBlur(wall, (0, 0), 1)


def seen(wall: np.ndarray, x: float, y: float, degrees: float = 0.0) -> np.ndarray:
    matrix = cv2.getRotationMatrix2D((x + SIZE[0] / 2, y + SIZE[1] / 2), degrees, 1)
    matrix[:, 2] -= (x, y)
    return cv2.warpAffine(wall, matrix, SIZE)


def shaky(seconds: float = 12, event: float = 6.0, sway: float = 12.0, hand: bool = False) -> Views:
    """A swaying view of a wall on which something appears at `event`, or a hand reaches in."""
    pts = np.arange(0, seconds, 0.1)
    wall = room()
    images = []
    for t in pts:
        scene = wall.copy()
        if not hand and t >= event - 0.3:  # it grows for half a second
            cv2.circle(scene, (255, 150), int(16 * min(1.0, (t - event + 0.3) / 0.5)), (20, 250, 20), -1)
        view = seen(scene, 180 + sway * np.sin(2 * t), 100 + sway / 2 * np.sin(1.3 * t), 2 * np.sin(t))
        if hand and abs(t - event) < 0.6:
            reach = 1 - abs(t - event) / 0.6
            cv2.line(view, (90, 110), (90 - int(20 * reach), int(100 - 50 * reach)), (205, 150, 120), 12)
        images.append(view)
    return Views(np.stack(images), pts)


def peak(name: str, views: Views) -> float:
    return float(views.pts_seconds[np.argmax(SIGNALS[name](views))])


@pytest.mark.parametrize("name", ["lk_affine", "ecc", "lk_residual"])
def test_compensated_signals_find_the_event_under_head_motion(name: str) -> None:
    assert peak(name, shaky()) == pytest.approx(6.0, abs=0.5)


def test_the_raw_difference_is_fooled_by_head_motion() -> None:
    assert abs(peak("difference", shaky(sway=25)) - 6.0) > 0.5


@pytest.mark.parametrize("name", sorted(SIGNALS))
def test_every_signal_finds_an_event_in_a_still_view(name: str) -> None:
    assert peak(name, shaky(sway=0.0)) == pytest.approx(6.0, abs=0.5)


@pytest.mark.parametrize("name", sorted(SIGNALS))
def test_signals_survive_clips_with_nothing_to_hold_on_to(name: str) -> None:
    for images in (np.zeros((1, 24, 32, 3)), np.zeros((5, 24, 32, 3)), np.full((3, 8, 8, 3), 255)):
        values = SIGNALS[name](Views(images.astype(np.uint8), np.arange(len(images)) / 5))
        assert values.shape == (len(images),) and np.isfinite(values).all()


def test_the_tracked_motion_is_the_true_one() -> None:
    a, b = (cv2.cvtColor(seen(room(), x, y), cv2.COLOR_RGB2GRAY) for x, y in ((180, 100), (187, 96)))
    matrix = track_affine(a, b)
    assert matrix is not None
    np.testing.assert_allclose(matrix, [[1, 0, -7], [0, 1, 4]], atol=0.4)
    np.testing.assert_allclose(refine_ecc(a, b, matrix), [[1, 0, -7], [0, 1, 4]], atol=0.3)
    np.testing.assert_allclose(phase_shift(a, b)[:, 2], [-7, 4], atol=1)
    assert residual(a, b, matrix)[0][residual(a, b, matrix)[1]].mean() < residual(a, b, STILL)[0].mean() / 4
    assert displacement(matrix, 96, 160) == pytest.approx(np.hypot(7, 4) / np.hypot(96, 160), abs=0.005)


def test_ecc_that_diverges_keeps_the_start() -> None:
    flat = np.zeros((32, 32), np.uint8)
    assert refine_ecc(flat, flat, STILL) is STILL


def test_a_hand_counts_more_than_an_equal_change_elsewhere() -> None:
    changes = measure_changes(shaky(hand=True), quality=False)
    during = np.abs(np.arange(0, 12, 0.1) - 6) < 0.5
    assert changes.on_skin[during].mean() > 5 * changes.on_skin[~during].mean()


def test_a_gloved_hand_is_found_where_hands_work() -> None:
    """No skin: a change in the lower middle must outweigh an equal one at the edge."""
    pts, wall = np.arange(0, 12, 0.1), room()
    images = np.stack([seen(wall, 180, 100) for _ in pts])
    for at, x, y in ((3.0, 8, 10), (9.0, 80, 66)):
        during = np.abs(pts - at) < 0.4
        images[during, y - 8 : y + 8, x - 8 : x + 8] = 255 - images[during, y - 8 : y + 8, x - 8 : x + 8]
    grey = np.repeat(images.mean(-1, keepdims=True), 3, -1).astype(np.uint8)
    assert SIGNALS["lk_affine"](Views(grey, pts)).argmax() == pytest.approx(90, abs=5)


def test_skin_is_told_from_wall_and_sky() -> None:
    image = np.zeros((40, 60, 3), np.uint8)
    image[:, :20], image[:, 20:40], image[:, 40:] = (205, 150, 120), (90, 120, 160), (240, 240, 240)
    share = [float((skin_mask(image)[5:35, x : x + 8] > 0).mean()) for x in (6, 26, 46)]
    assert share == [1, 0, 0]


def test_fixation_is_rest_after_a_turn() -> None:
    views = shaky(sway=0.0)
    changes = measure_changes(views, quality=False)
    speed = np.where((views.pts_seconds > 4) & (views.pts_seconds < 5), 1.0, 0.0)
    settled = fixation(replace(changes, speed=speed))
    assert 5.0 < views.pts_seconds[settled.argmax()] < 6.5
    assert settled[views.pts_seconds < 3.5].max() < 0.1


def test_views_are_decoded_once_per_frame(tmp_path: Path) -> None:
    views = make_views(write(tmp_path / "a.mp4"), 1.0, 2.0, 40, 1000, 60)  # 40 samples of 10 frames
    assert views.pts_seconds.tolist() == pytest.approx(np.arange(1.0, 2.0, 0.1).tolist())
    assert "10, 24" in repr(views) and views.step_seconds == pytest.approx(0.1)


def test_views_check_their_shapes() -> None:
    with pytest.raises(ValueError, match="need"):
        Views(np.zeros((2, 4, 4, 3), np.uint8), np.zeros(3))
    with pytest.raises(ValueError, match="increasing"):
        Views(np.zeros((2, 4, 4, 3), np.uint8), np.zeros(2))


# --- the plug-in point ------------------------------------------------------------------------------------------------


def test_a_scorer_reads_the_questions() -> None:
    pictures = np.zeros((3, 10, 10, 3), np.uint8)
    pictures[1, :, :5] = (250, 20, 20)
    pictures[2] = (20, 20, 250)
    views = Views(pictures, np.array([0.0, 5.0, 10.0]))
    scorer = load_scorer("pipeline.keyframes.examples:named_colours")
    assert scorer(views, ["Where is the red cup?"]).tolist() == [0, 0.5, 0]
    assert scorer(views, ["Is it Blue?", "red"]).tolist() == [0, 0.5, 1]
    assert named_colours(views, ["What now?"]).tolist() == [0, 0, 0]


@pytest.mark.parametrize("name", ["lk_afine", "no.such.module:f", "pipeline.keyframes.examples:nothing", ":", ""])
def test_an_unknown_signal_is_named_with_the_known_ones(name: str) -> None:
    with pytest.raises(ParamsError, match="lk_affine"):
        load_scorer(name)


def half(views: Views, questions: object) -> np.ndarray:
    return np.zeros(len(views) // 2)


def test_a_scorer_must_score_every_view() -> None:
    with pytest.raises(ValueError, match="must return"):
        load_scorer("tests.unit.keyframes.test_signals:half")(shaky(seconds=1), [])
