"""Foreign files byte by byte: videos, archives, params, model folders. Each is read or refused with a name."""

import io
import json
import shutil
import struct
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.decode.backends import decode_frames
from pipeline.errors import ArtifactError, ItemError, ModelError, ParamsError
from pipeline.frames.geometry import FrameSize
from pipeline.frames.shards import read_manifest
from pipeline.models.untrusted import refuse_code
from pipeline.params import load_params
from pipeline.profiles import merge_overlay, nested
from pipeline.records import Question, read_rows, write_rows
from pipeline.sources import zips
from pipeline.sources.paths import inside
from pipeline.sources.zips import ZipFolder
from pipeline.video.probe import probe
from pipeline.work.items import Workers
from pipeline.work.parallel import run_parallel
from tests.faults.budget import EXAMPLES
from tests.faults.hungry import swallow
from tests.faults.mutate import mutated


def fuzz(content: bytes, path: Path, read: Callable[[Path], object], *refusals: type[Exception]) -> None:
    """`read` a file of `content`, mutated; only `refusals` may come out."""

    @settings(max_examples=EXAMPLES, deadline=None, database=None)
    @given(mutated(content))
    def one(changed: bytes) -> None:
        path.write_bytes(changed)
        with suppress(*refusals):
            read(path)

    one()


def video(path: Path, form: str = "mp4", codec: str = "mpeg4") -> bytes:
    with av.open(str(path), "w", format=form) as made:
        stream = made.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        for i in range(12):
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), i * 20, np.uint8), "rgb24")
            made.mux(stream.encode(frame))
        made.mux(stream.encode(None))
    return path.read_bytes()


@pytest.mark.parametrize("form", ["mp4", "matroska", "mpegts", "avi"])
def test_a_video_is_probed_or_refused(form: str, tmp_path: Path) -> None:
    good = video(tmp_path / "good", form)
    fuzz(good, tmp_path / "v.mp4", probe, ItemError)


def test_a_stream_that_appears_later_is_refused(tmp_path: Path) -> None:
    """Found by fuzzing: an IndexError of PyAV if the header of a transport packet names an unknown stream."""
    good, reasons = video(tmp_path / "good", "mpegts"), set()
    for packet in range(0, len(good), 188):
        (tmp_path / "v.ts").write_bytes(good[: packet + 2] + b"\x01" + good[packet + 3 :])
        try:
            probe(tmp_path / "v.ts")
        except ItemError as error:
            reasons.add(f"{error.reason}: {error.detail}")
    assert "damaged_file: 'v.ts': a stream appears later that was not there at the start" in reasons


def test_a_video_is_decoded_or_refused(tmp_path: Path) -> None:
    good = video(tmp_path / "good")

    def decode(path: Path) -> object:
        return decode_frames(path, np.array([0.1, 0.9]), FrameSize(1024, 16), decoder="pyav", seconds_limit=5.0)

    fuzz(good, tmp_path / "v.mp4", decode, ItemError)


def archive(names: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:
        for name, content in names.items():
            file.writestr(name, content)
    return buffer.getvalue()


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_archive_is_unpacked_or_refused(compression: int, tmp_path: Path) -> None:
    folder = tmp_path / "zips"
    folder.mkdir()

    def unpack(path: Path) -> object:
        zips._contents.cache_clear()
        return ZipFolder(path.parent).extract("a.mp4", tmp_path / "out.mp4")

    fuzz(archive({"videos/a.mp4": b"0123456789" * 20}, compression), folder / "z.zip", unpack, ItemError)
    assert sorted(p.name for p in tmp_path.iterdir()) in (["zips"], ["out.mp4", "zips"])


@pytest.mark.parametrize(
    "name", ["../a.mp4", "/a.mp4", "x/../../a.mp4", "..\\a.mp4", "C:\\a.mp4", "C:a.mp4", "\\\\h\\s\\a.mp4"]
)
def test_an_archive_writes_nothing_outside(name: str, tmp_path: Path) -> None:
    (tmp_path / "zips").mkdir()
    (tmp_path / "zips/z.zip").write_bytes(archive({name: b"x"}))
    zips._contents.cache_clear()
    with pytest.raises(ItemError) as refused:
        ZipFolder(tmp_path / "zips").extract("a.mp4", tmp_path / "out.mp4")
    assert refused.value.reason in ("unsafe_path", "missing_file")
    assert [p.name for p in tmp_path.iterdir()] == ["zips"]


def test_a_link_in_an_archive_and_a_bomb_are_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("a.mp4")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr(link, "/etc/passwd")
    with zipfile.ZipFile(tmp_path / "b.zip", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("b.mp4", bytes(80 << 20))
    zips._contents.cache_clear()
    for name, reason in (("a.mp4", "unsafe_path"), ("b.mp4", "bomb")):
        with pytest.raises(ItemError) as refused:
            ZipFolder(tmp_path).extract(name, tmp_path / "out.mp4")
        assert refused.value.reason == reason
    assert not (tmp_path / "out.mp4").exists()


def test_one_broken_archive_does_not_hide_the_others(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"PK\x03\x04 torn")
    (tmp_path / "b.zip").write_bytes(archive({"b.mp4": b"whole"}))
    zips._contents.cache_clear()
    assert ZipFolder(tmp_path).extract("b.mp4", tmp_path / "out").read_bytes() == b"whole"
    with pytest.raises(ItemError, match=r"bad_zip.*a\.zip"):
        ZipFolder(tmp_path).extract("a.mp4", tmp_path / "out")


OUTWARD = st.sampled_from(["..", "a/../..", "/x", ""])


@settings(max_examples=EXAMPLES * 4, deadline=None, database=None)
@example("\ud800")  # no file system can write it: it was a traceback
@given(st.text(st.characters(codec=None, exclude_categories=()), max_size=30) | OUTWARD)
def test_no_name_leads_out(name: str) -> None:
    folder = Path("/tmp/some/folder")
    with suppress(ItemError):
        assert inside(folder, name).is_relative_to(folder)


def test_a_worker_that_takes_too_much_memory_loses_its_item_only() -> None:
    results = dict(run_parallel(swallow, [10, 3000, 10], Workers("processes", 1, 60.0, 300)))
    assert results[0] == results[2] == 10
    assert isinstance(results[1], ItemError) and results[1].reason == "memory_limit"


def test_params_are_read_or_refused(repository: Path, tmp_path: Path) -> None:
    fuzz((repository / "params.yaml").read_bytes(), tmp_path / "params.yaml", load_params, ParamsError)


@pytest.mark.parametrize("text", [
    "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n", "!!python/object/apply:os.system ['true']", "[" * 5000,
    "a: !!binary x",
    "? [1]\n: 2", "seed: " + "9" * 5000, "a: *missing", "\x00", "seed: 0x" + "f" * 400, "<<: 1", "- " * 3000,
    "{a: " * 1000,
    "2001-99-99: 1", "seed: 2001-99-99",
])  # fmt: skip
def test_hostile_yaml_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(ParamsError):
        load_params(tmp_path / "params.yaml")
    with pytest.raises(ParamsError):
        merge_overlay(text, {"seed": 1})


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
JSON = st.recursive(
    SCALARS, lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=8), v, max_size=3), max_leaves=6
)


def test_overrides_are_merged_or_refused(repository: Path) -> None:
    text = (repository / "params.yaml").read_text(encoding="utf-8")
    keys = st.sampled_from(
        ["seed", "prompts", "train_grpo.rewards", "download_videos.sources", "x.y", "", ".", "seed.x"]
    )

    @settings(max_examples=EXAMPLES, deadline=None, database=None)
    @given(st.dictionaries(keys | st.text(max_size=8), JSON, max_size=2))
    def one(overrides: dict[str, Any]) -> None:
        with suppress(ParamsError):
            merge_overlay(text, nested(overrides))

    one()


@pytest.mark.parametrize("name", ["pytorch_model.bin", "x.pkl", "sub/x.py", "optimizer.pt", "x.SO"])
def test_a_model_folder_with_pickles_or_code_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"")
    with pytest.raises(ModelError, match="pickles and code"):
        refuse_code(tmp_path)


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json", "preprocessor_config.json"])
def test_a_model_folder_that_points_to_code_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(json.dumps({"auto_map": {"AutoConfig": "evil.Config"}}))
    with pytest.raises(ModelError, match="auto_map"):
        refuse_code(tmp_path)


QUESTION = {"question_id": "q", "video_id": "v", "source": "s", "licence": "l", "question": "w", "options": ("a", "b"),
            "answer": 1, "start_seconds": 0.0, "end_seconds": 1.0, "split": "test"}  # fmt: skip


def test_our_own_tables_are_read_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "q.parquet"
    write_rows(path, [Question.model_validate(QUESTION)], Question)
    good = path.read_bytes()
    fuzz(good, path, lambda p: read_rows(p, Question), ArtifactError)
    for position in range(0, len(good), 7):  # a type that Arrow does not know, a text that is not UTF-8, ...
        path.write_bytes(good[:position] + b"/" + good[position + 1 :])
        with suppress(ArtifactError):
            read_rows(path, Question)


def test_a_manifest_is_read_or_refused(tmp_path: Path) -> None:
    good = json.dumps({"settings": {}, "files": [{"file": "shard-0000-000.arrow", "bytes": 1, "sha256": "0" * 64}]})
    fuzz(good.encode(), tmp_path / "manifest.json", lambda p: read_manifest(p.parent), ArtifactError)
    for broken in ('{"files": [{"file": "a"}]}', "{}", "[]", '{"files": [{"file": "../a", "bytes": 1, "sha256": ""}]}'):
        (tmp_path / "manifest.json").write_text(broken)
        with pytest.raises(ArtifactError, match="cannot be read"):
            read_manifest(tmp_path)


def test_a_lying_safetensors_header_is_refused(tmp_path: Path) -> None:
    from pipeline.models.policy import load_policy

    shutil.rmtree(tmp_path)
    tmp_path.mkdir()
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "qwen2_5_vl"}))
    for size in (2**63, 10**9, 8):
        (tmp_path / "model.safetensors").write_bytes(struct.pack("<Q", size) + b"{}")
        with pytest.raises(ModelError):
            load_policy(tmp_path)
