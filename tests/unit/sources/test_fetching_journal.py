"""Each video is fetched once; what changed is fetched again; what is bad is named."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from pipeline.errors import ItemError
from pipeline.sources.base import Source, VideoItem
from pipeline.sources.fetching import Fetched, FetchLimits, FetchLog, Task, fetch_all
from pipeline.sources.paths import digest_of


class Notes(Source):
    """Writes its text; counts how often it was asked in a file beside."""

    def __init__(self, text: str, log: Path) -> None:
        super().__init__("notes", 0)
        self.text, self.log = text, log

    def list_videos(self) -> Sequence[VideoItem]:
        return [VideoItem(f"v{i}", f"v{i}.mp4", f"v{i}", "CC0", location=self.text) for i in range(3)]

    def fetch(self, item: VideoItem, folder: Path) -> Path:
        with self.log.open("a") as log:
            log.write(item.video_id + "\n")
        if item.video_id == "v2" and self.text == "broken":
            raise ItemError("missing_file", "gone")
        path = folder / item.filename
        path.write_text(f"{self.text} {item.video_id}")
        return path

    def annotations(self):  # type: ignore[no-untyped-def]
        return iter(())

    def local_paths(self) -> Sequence[Path]:
        return []


def _size(path: Path) -> object:
    return path.stat().st_size


def _fetch(tmp_path: Path, text: str, workers: int = 1, **item: object) -> tuple[list[Fetched], list[str]]:
    source, raw = Notes(text, tmp_path / "log"), tmp_path / "raw"
    raw.mkdir(exist_ok=True)
    source.log.write_text("")
    journal = FetchLog(raw / "fetched.jsonl")
    tasks = [Task(source, one, raw / "videos/notes") for one in source.list_videos()]
    done = sorted(
        fetch_all(tasks, journal, _size, FetchLimits(workers, 60.0, 60.0, 4096)), key=lambda one: one.task.item.video_id
    )
    journal.finish({one.entry.path for one in done if one.entry})
    return done, source.log.read_text().split()


def test_a_second_run_fetches_nothing(tmp_path: Path) -> None:
    _, first = _fetch(tmp_path, "one")
    journal = (tmp_path / "raw/fetched.jsonl").read_bytes()
    done, second = _fetch(tmp_path, "one")
    assert (sorted(first), second) == (["v0", "v1", "v2"], [])
    assert all(one.kept for one in done)
    assert (tmp_path / "raw/fetched.jsonl").read_bytes() == journal


def test_what_changed_is_fetched_again(tmp_path: Path) -> None:
    _fetch(tmp_path, "one")
    (tmp_path / "raw/videos/notes/v1.mp4").write_text("someone wrote here")
    assert _fetch(tmp_path, "one")[1] == ["v1"]
    assert _fetch(tmp_path, "two")[1] == ["v0", "v1", "v2"]


def test_a_torn_journal_line_costs_one_fetch(tmp_path: Path) -> None:
    _fetch(tmp_path, "one")
    journal = tmp_path / "raw/fetched.jsonl"
    journal.write_text(journal.read_text()[:-40])
    assert _fetch(tmp_path, "one")[1] == ["v2"]


def test_a_bad_item_comes_with_its_reason(tmp_path: Path) -> None:
    done, _ = _fetch(tmp_path, "broken")
    assert [one.error.reason if one.error else "ok" for one in done] == ["ok", "ok", "missing_file"]


def test_processes_give_the_same(tmp_path: Path) -> None:
    alone, _ = _fetch(tmp_path, "one")
    (tmp_path / "raw/fetched.jsonl").unlink()
    together, asked = _fetch(tmp_path, "one", workers=2)
    assert [one.entry for one in alone] == [one.entry for one in together]
    assert sorted(asked) == ["v0", "v1", "v2"]


@pytest.mark.parametrize(
    ("promise", "reason"),
    [({"bytes": 5}, "wrong_size"), ({"sha256": "0" * 64}, "wrong_checksum"), ({"md5": "0" * 32}, "wrong_checksum")],
)
def test_a_broken_promise_does_not_stay(tmp_path: Path, promise: dict[str, object], reason: str) -> None:
    source = Notes("one", tmp_path / "log")
    item = VideoItem("v0", "v0.mp4", "v0", "CC0", **promise)  # type: ignore[arg-type]
    journal = FetchLog(tmp_path / "fetched.jsonl")
    (done,) = fetch_all([Task(source, item, tmp_path / "videos")], journal, _size, FetchLimits(1, 60.0, 60.0, 4096))
    assert done.error is not None
    assert done.error.reason == reason
    assert not list((tmp_path / "videos").iterdir())


def test_a_kept_promise(tmp_path: Path) -> None:
    (tmp_path / "same").write_text("one v0")
    md5 = digest_of(tmp_path / "same", "md5")
    item = VideoItem("v0", "v0.mp4", "v0", "CC0", bytes=6, md5=md5)
    task = Task(Notes("one", tmp_path / "log"), item, tmp_path / "videos")
    (done,) = fetch_all([task], FetchLog(tmp_path / "fetched.jsonl"), _size, FetchLimits(1, 60.0, 60.0, 4096))
    assert done.error is None
