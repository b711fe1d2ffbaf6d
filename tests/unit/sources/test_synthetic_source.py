"""The synthetic source: real video files with reproducible bytes, and questions without a shortcut."""

from collections import Counter
from pathlib import Path

import av
import numpy as np
import pytest

from pipeline.errors import ItemError, ParamsError
from pipeline.records import Annotation
from pipeline.sources.base import VideoItem
from pipeline.sources.synthetic import SyntheticParams as Section
from pipeline.sources.synthetic import SyntheticSource
from pipeline.synthetic.render import Renderer

FAMILIES = ("taken", "moved", "count", "order", "purpose")


def section(**changes: object) -> Section:
    values: dict[str, object] = {
        "kind": "synthetic", "videos_train": 4, "videos_dev": 1, "videos_test": 50, "questions_per_video": 3,
        "families": ("taken", "moved", "count"), "width": 96, "height": 96, "frames_per_second": 10,
        "seconds_min": 6.0, "seconds_max": 7.2,
    }  # fmt: skip
    return Section.model_validate(values | changes)


def annotations(source: SyntheticSource, split: str) -> list[Annotation]:
    return [row for row in source.annotations() if isinstance(row, Annotation) and row.split == split]


def test_a_fetched_video_is_h264_shows_the_script_and_has_the_same_bytes_again(tmp_path: Path) -> None:
    source = SyntheticSource("world", 0, section())
    items = source.list_videos()[:3]
    first = [source.fetch(item, tmp_path).read_bytes() for item in items]
    second = [source.fetch(item, tmp_path).read_bytes() for item in reversed(items)]
    assert first == second[::-1]
    assert sorted(p.name for p in tmp_path.iterdir()) == [item.filename for item in items]
    script = source.script(items[0].video_id)
    with av.open(str(tmp_path / items[0].filename)) as container:
        stream = container.streams.video[0]
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
        assert stream.codec_context.name == "h264"
        assert "creation_time" not in container.metadata
    assert len(frames) == round(script.duration_seconds * 10)
    drawn = Renderer(script, 96, 96, 0).draw(3.0)
    assert np.abs(frames[30].astype(int) - drawn.astype(int)).mean() < 6


@pytest.mark.parametrize("family", FAMILIES)
def test_letters_values_and_lengths_tell_nothing(family: str) -> None:
    rows = annotations(SyntheticSource("world", 0, section(families=(family,), questions_per_video=1)), "test")
    assert len(rows) == 50
    answers = [row.answer for row in rows if row.answer is not None]
    assert Counter(answers) == dict.fromkeys(range(5), 10)
    for row in rows:
        assert row.options is not None
        assert len(set(row.options)) == 5
    if family != "order":  # there the right pair depends on two colours
        said = Counter(row.options[row.answer] for row in rows if row.options and row.answer is not None)
        assert set(said.values()) == {10}
    for place in range(5):  # "always the k-th shortest option"
        ranked = [sorted(range(5), key=lambda i, o=row.options: (len(o[i]), i)) for row in rows if row.options]
        right = sum(order[place] == answer for order, answer in zip(ranked, answers, strict=True))
        assert abs(right / len(rows) - 0.2) <= 0.16


def test_the_same_question_is_asked_in_every_split_about_other_videos() -> None:
    source = SyntheticSource("world", 0, section(videos_train=50))
    train, test = annotations(source, "train"), annotations(source, "test")
    assert {row.question for row in train} == {row.question for row in test}
    assert not {row.video_id for row in train} & {row.video_id for row in test}
    scripts = [source.script(row.video_id) for row in (train[0], test[0])]
    assert scripts[0].things != scripts[1].things


def test_key_times_lie_within_the_clip_and_match_the_script() -> None:
    source = SyntheticSource("world", 0, section(families=FAMILIES, questions_per_video=5))
    for row in annotations(source, "test"):
        action = source.script(row.video_id).actions
        assert row.keyframe_seconds is not None and row.end_seconds is not None
        assert all(0 <= t < row.end_seconds for t in row.keyframe_seconds)
        expected = {
            "taken": (action[0].grasp_seconds,),
            "count": (action[0].enter_seconds,),
            "order": tuple(a.grasp_seconds for a in action),
        }
        assert row.keyframe_seconds == expected.get(row.family, (action[0].grasp_seconds, action[0].put_seconds))


def test_fewer_questions_than_families_take_turns() -> None:
    rows = annotations(SyntheticSource("world", 0, section(questions_per_video=1)), "test")
    assert set(Counter(row.family for row in rows).values()) <= {16, 17}


def test_the_fingerprint_follows_what_decides_the_bytes() -> None:
    item = SyntheticSource("world", 0, section()).list_videos()[0]
    same = SyntheticSource("world", 0, section(videos_test=9)).fingerprint(item)
    assert SyntheticSource("world", 0, section()).fingerprint(item) == same
    assert SyntheticSource("world", 1, section()).fingerprint(item) != same
    assert SyntheticSource("world", 0, section(width=64)).fingerprint(item) != same


def test_bad_settings_and_ids_are_named() -> None:
    with pytest.raises(ParamsError, match="tooken"):
        SyntheticSource("world", 0, section(families=("tooken",)))
    with pytest.raises(ParamsError, match="seconds_max is below"):
        SyntheticSource("world", 0, section(seconds_max=5.0))
    source = SyntheticSource("world", 0, section())
    with pytest.raises(ItemError, match="missing_file"):
        source.fetch(VideoItem("other", "other.mp4", "other", "MIT"), Path())
