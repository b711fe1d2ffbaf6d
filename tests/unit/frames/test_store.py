import pickle
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import ArtifactError
from pipeline.frames.jpeg import encode_jpeg
from pipeline.frames.shards import MANIFEST, Layout, Row, read_bucket, write_bucket, write_manifest
from pipeline.frames.store import SCHEMA, Frames, FrameStore

LAYOUT = Layout(SCHEMA, buckets=3, max_bytes=6000)


def row(clip_id: str) -> Row:
    level = sum(map(ord, clip_id)) % 200
    image = np.full((16, 32, 3), level, np.uint8)
    return {
        "item_id": clip_id,
        "key": "k",
        "video_id": "v",
        "pts_seconds": [0.5, 1.5],
        "origin_seconds": 0.0,
        "width": 32,
        "height": 16,
        "decode_method": "plan",
        "jpegs": [encode_jpeg(image, 95), encode_jpeg(255 - image, 95)],
    }


def fill(folder: Path, ids: list[str], layout: Layout = LAYOUT) -> None:
    folder.mkdir(exist_ok=True)
    for bucket in range(layout.buckets):
        write_bucket(folder, layout, bucket, [row(i) for i in ids if layout.bucket_of(i) == bucket])
    write_manifest(folder, layout, {"format": "test"})


IDS = [f"clip{i}@x" for i in range(12)]


def test_what_went_in_comes_out(tmp_path: Path) -> None:
    fill(tmp_path, IDS)
    store = FrameStore(tmp_path)
    assert store.clip_ids() == sorted(IDS)
    assert len(store) == 12 and "clip3@x" in store and "other" not in store
    frames = store.load("clip3@x")
    level = sum(map(ord, "clip3@x")) % 200
    assert frames.images.shape == (2, 16, 32, 3)
    assert frames.pts_seconds.tolist() == store.pts_seconds("clip3@x").tolist() == [0.5, 1.5]
    assert abs(int(frames.images[0, 0, 0, 0]) - level) <= 2
    assert abs(int(frames.images[1, 0, 0, 0]) - (255 - level)) <= 2
    assert store.settings == {"format": "test"}


def test_a_store_travels_to_a_worker(tmp_path: Path) -> None:
    fill(tmp_path, IDS)
    store = FrameStore(tmp_path)
    store.load(IDS[0])
    copy = pickle.loads(pickle.dumps(store))  # noqa: S301 - how worker processes get it
    assert (copy.load(IDS[5]).images == store.load(IDS[5]).images).all()


def test_an_unknown_clip_is_a_key_error(tmp_path: Path) -> None:
    fill(tmp_path, IDS)
    with pytest.raises(KeyError):
        FrameStore(tmp_path).load("nobody")


def test_files_stay_bounded_and_few(tmp_path: Path) -> None:
    fill(tmp_path, IDS)
    sizes = [path.stat().st_size for path in tmp_path.glob("*.arrow")]
    assert len(sizes) > LAYOUT.buckets  # some bucket had to be split
    small = Layout(SCHEMA, 3, 10**9)
    fill(tmp_path, IDS, small)
    assert len(list(tmp_path.glob("*.arrow"))) == 3


def test_the_same_rows_give_the_same_bytes_in_any_order(tmp_path: Path) -> None:
    fill(tmp_path / "a", IDS)
    fill(tmp_path / "b", IDS[::-1])
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


@pytest.mark.parametrize("harm", ["no manifest", "missing shard", "torn shard", "flipped bit", "manifest is text"])
def test_a_folder_that_is_not_whole_is_refused(tmp_path: Path, harm: str) -> None:
    fill(tmp_path, IDS)
    shard = sorted(tmp_path.glob("*.arrow"))[0]
    if harm == "no manifest":
        (tmp_path / MANIFEST).unlink()
    elif harm == "missing shard":
        shard.unlink()
    elif harm == "torn shard":
        shard.write_bytes(shard.read_bytes()[:-10])
    elif harm == "flipped bit":
        content = bytearray(shard.read_bytes())
        content[len(content) // 2] ^= 1
        shard.write_bytes(content)
    else:
        (tmp_path / MANIFEST).write_text("{")
    with pytest.raises(ArtifactError, match="dvc repro"):
        FrameStore(tmp_path)


def test_a_file_that_cannot_be_read_counts_as_absent_when_made_again(tmp_path: Path) -> None:
    fill(tmp_path, IDS)
    shard = sorted(tmp_path.glob("shard-0001-*.arrow"))[0]
    before = len(read_bucket(tmp_path, 1))
    shard.write_bytes(b"not arrow")
    assert len(read_bucket(tmp_path, 1)) < before


def test_frames_check_their_shapes() -> None:
    with pytest.raises(ValueError, match="uint8"):
        Frames(np.zeros((1, 4, 4, 3)), np.zeros(1))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="pts_seconds"):
        Frames(np.zeros((2, 4, 4, 3), np.uint8), np.zeros(1))
