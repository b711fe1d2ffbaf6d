"""Sources local, urls, hub and ego4d: listing, fetching, what they refuse."""

import json
import os
import re
import stat
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from pipeline.errors import EmptyInput, ItemError, ParamsError, StageError
from pipeline.records import Annotation
from pipeline.reports import StageReport
from pipeline.sources import hub
from pipeline.sources.base import BadRow
from pipeline.sources.ego4d import Ego4dParams, Ego4dSource
from pipeline.sources.hub import HubParams, HubSource
from pipeline.sources.local import LocalSource
from pipeline.sources.registry import build_sources
from pipeline.sources.urls import UrlsParams, UrlsSource
from pipeline.stages import download_videos
from tests.support.data_world import clip, data_params, local_params, row, write_jsonl
from tests.support.fault_server import serving, sha256

UID = "490a50c0-988d-4091-9503-79c66e7d298a"
REAL = {"questions": "q.jsonl", "format": "native", "frame_rate": None, "split": "train", "licence": "CC0"}


# --- local ------------------------------------------------------------------------------------------------------------


def test_local_real_clips(shared: Path, tmp_path: Path) -> None:
    folder = shared / "real_clips"
    source = LocalSource("clips", 0, local_params(folder, folder / "annotations.jsonl"))
    items, rows = source.list_videos(), list(source.annotations())
    assert [item.video_id for item in items] == ["bike_repair", "cooking", "stir_pan"]
    assert len(rows) == 9
    assert all(isinstance(one, Annotation) for one in rows)
    assert isinstance(rows[0], Annotation)
    assert (rows[0].video_id, rows[0].answer, rows[0].keyframe_seconds) == ("cooking", 1, (2.0, 11.0, 14.0, 27.0))
    assert source.fetch(items[2], tmp_path).read_bytes() == (folder / "stir_pan.mp4").read_bytes()


def test_local_nested_and_odd_names(tmp_path: Path) -> None:
    for name in ("a/1.mp4", "b/1.MP4", "c d é.mkv", f"Ego4d/{UID}.mp4", "notes.txt"):
        path = tmp_path / "videos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    items = LocalSource("x", 0, local_params(tmp_path / "videos", tmp_path / "q.jsonl")).list_videos()
    assert len({item.video_id for item in items}) == len(items) == 4
    assert {item.parent_video_id for item in items} >= {UID}
    assert all(item.filename.startswith(item.video_id) for item in items)


def test_local_bad_rows_are_named_by_line(tmp_path: Path) -> None:
    clip(tmp_path / "videos/v.mp4")
    rows = [row("ok", "v.mp4"), "{broken", "[1]", row("evil", "../v.mp4"), row("nan", "v", float("nan"))]  # type: ignore[arg-type]
    questions = write_jsonl(tmp_path / "q.jsonl", rows)
    found = list(LocalSource("x", 0, local_params(tmp_path / "videos", questions)).annotations())
    bad = {(one.item_id, one.reason) for one in found if isinstance(one, BadRow)}
    assert bad == {("q.jsonl:2", "malformed_row"), ("q.jsonl:3", "malformed_row"), ("evil", "unsafe_path"),
                   ("nan", "wrong_type")}  # fmt: skip
    assert len(found) == 5


def test_local_a_link_that_leads_out_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret.mp4").write_bytes(b"secret")
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos/link.mp4").symlink_to(tmp_path / "secret.mp4")
    source = LocalSource("x", 0, local_params(tmp_path / "videos", tmp_path / "q.jsonl"))
    with pytest.raises(ItemError, match="unsafe_path"):
        source.fetch(source.list_videos()[0], tmp_path)


@pytest.mark.parametrize("name", ["q.jsonl", "q.txt", "q.json", "q.parquet", "latin.csv"])
def test_an_unusable_questions_file_is_one_line(tmp_path: Path, name: str) -> None:
    clip(tmp_path / "videos/v.mp4")
    if name != "q.jsonl":
        (tmp_path / name).write_bytes(b"\xff\xfe{")
    with pytest.raises(StageError, match=re.escape(name)) as caught:
        list(LocalSource("x", 0, local_params(tmp_path / "videos", tmp_path / name)).annotations())
    assert "\n" not in str(caught.value)


def test_a_missing_folder_is_one_line(tmp_path: Path) -> None:
    (source,) = build_sources(data_params({"x": local_params(tmp_path / "nowhere", tmp_path / "q.jsonl")}))
    with pytest.raises(StageError, match=r"does not exist: correct download_videos\.sources\.x\.folder"):
        source.list_videos()


# --- urls -------------------------------------------------------------------------------------------------------------


def _urls(manifest: Path, **changes: Any) -> UrlsSource:
    values = {"kind": "urls", "manifest": str(manifest), "retries": 1, "timeout_seconds": 2, "max_bytes": 10**7}
    return UrlsSource("web", 0, UrlsParams.model_validate(REAL | values | changes))


def test_urls_fetch_by_manifest(tmp_path: Path) -> None:
    made = clip(tmp_path / "served/a.mp4")
    with serving(tmp_path / "served") as server:
        facts = {"sha256": sha256(made), "bytes": made.stat().st_size, "parent_start_seconds": 12}
        rows = [{"video_id": UID, "url": f"{server.url}/a.mp4?Signature=1", **facts}]
        source = _urls(write_jsonl(tmp_path / "m.jsonl", rows))
        (item,) = source.list_videos()
        assert (item.parent_video_id, item.parent_start_seconds, item.filename) == (UID, 12.0, f"{UID}.mp4")
        assert source.fetch(item, tmp_path).read_bytes() == made.read_bytes()


def test_a_renewed_link_is_the_same_file(tmp_path: Path) -> None:
    prints = set()
    for token in "ab":
        rows = [{"video_id": "v", "url": f"http://x/a.mp4?Signature={token}", "bytes": 7}]
        source = _urls(write_jsonl(tmp_path / "m.jsonl", rows))
        prints.add(source.fingerprint(source.list_videos()[0]))
    assert len(prints) == 1


@pytest.mark.parametrize(
    "bad",
    [{"url": "http://x/a.mp4"}, {"video_id": "v"}, {"video_id": "v", "url": "http://x", "sha256": "12"},
     {"video_id": "v", "url": "http://x", "bytes": "many"}, "{torn"],
)  # fmt: skip
def test_a_bad_manifest_row_is_named(tmp_path: Path, bad: Any) -> None:
    manifest = write_jsonl(tmp_path / "m.jsonl", [{"video_id": "ok", "url": "http://x/a.mp4"}, bad])
    with pytest.raises(StageError, match=r"m\.jsonl:2"):
        _urls(manifest).list_videos()


def test_a_claimed_size_over_the_limit_is_refused_before_a_request(tmp_path: Path) -> None:
    manifest = write_jsonl(tmp_path / "m.jsonl", [{"video_id": "v", "url": "http://127.0.0.1:9/a", "bytes": 10 << 30}])
    source = _urls(manifest)
    with pytest.raises(ItemError, match="too_large"):
        source.fetch(source.list_videos()[0], tmp_path)


# --- hub --------------------------------------------------------------------------------------------------------------

REVISION = "0123456789abcdef0123456789abcdef01234567"


class _Hub(BaseHTTPRequestHandler):
    """The two routes of the hub that matter, for the files of `folder`."""

    folder: Path
    gated = False
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Quiet."""

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        if self.gated:
            return self._send(403, b"{}", body)
        if self.path.startswith(f"/api/datasets/org/set/tree/{REVISION}"):
            return self._send(
                200, json.dumps([self._entry(p) for p in sorted(self.folder.rglob("*.*"))]).encode(), body
            )
        name = self.path.split(f"/resolve/{REVISION}/")[-1]
        path = self.folder / name
        if not path.is_file():
            return self._send(404, b"{}", body, **{"X-Error-Code": "EntryNotFound"})
        return self._send(200, path.read_bytes(), body, **{"X-Repo-Commit": REVISION, "ETag": f'"{sha256(path)}"'})

    def _entry(self, path: Path) -> dict[str, Any]:
        size = path.stat().st_size
        lfs = {"oid": sha256(path), "size": size, "pointerSize": 1} if path.suffix == ".mp4" else None
        name = path.relative_to(self.folder).as_posix()
        return {"type": "file", "path": name, "size": size, "oid": "0", "lfs": lfs}

    def _send(self, code: int, data: bytes, body: bool, **headers: str) -> None:
        self.send_response(code)
        for key, value in {"Content-Length": str(len(data)), **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        if body:
            self.wfile.write(data)


@pytest.fixture
def hub_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[_Hub]]:
    handler = type("Handler", (_Hub,), {"folder": tmp_path / "repo"})
    clip(handler.folder / f"Ego4d/{UID}.mp4")
    clip(handler.folder / "ADL/other.mp4")
    write_jsonl(handler.folder / "q.jsonl", [row("q1", f"Ego4d/{UID}.mp4")])
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_address[1]}")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    hub._tree.cache_clear()
    yield handler
    server.shutdown()
    server.server_close()


def _hub() -> HubSource:
    values = {"kind": "hub", "repository": "org/set", "revision": REVISION, "patterns": ["Ego4d/*"]}
    return HubSource("hub", 0, HubParams.model_validate(REAL | values))


def test_hub_lists_and_fetches_a_pinned_revision(hub_server: type[_Hub], tmp_path: Path) -> None:
    source = _hub()
    (item,) = source.list_videos()
    original = hub_server.folder / f"Ego4d/{UID}.mp4"
    assert (item.parent_video_id, item.sha256, item.bytes) == (UID, sha256(original), original.stat().st_size)
    assert source.fetch(item, tmp_path).read_bytes() == original.read_bytes()
    (found,) = source.annotations()
    assert isinstance(found, Annotation)
    assert found.video_id == item.video_id


def test_the_other_files_of_a_repository_are_counted(hub_server: type[_Hub]) -> None:
    for name in ("Ego4d/._a.mp4", "Ego4d/list.csv", "README.md"):
        (hub_server.folder / name).write_text("x")
    source = _hub()
    assert [item.location for item in source.list_videos()] == [f"Ego4d/{UID}.mp4"]
    assert source.left_out() == {
        "a video that no pattern asks for": ("ADL/other.mp4",),
        "macOS metadata of another file (._)": ("Ego4d/._a.mp4",),
        "not a video by its name (.csv)": ("Ego4d/list.csv",),
        "not a video by its name (.md)": ("README.md",),
    }


def test_a_gated_repository_says_what_to_do(hub_server: type[_Hub]) -> None:
    hub_server.gated = True
    with pytest.raises(StageError, match="accept its terms on the hub"):
        _hub().list_videos()


def test_a_branch_is_no_pinned_revision() -> None:
    values = {"kind": "hub", "repository": "org/set", "revision": "main", "patterns": ["*"]}
    with pytest.raises(ValueError, match="revision"):
        HubParams.model_validate(REAL | values)


# --- ego4d ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def ego4d(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ego4dSource:
    """A source, and an `ego4d` command that does what its environment says."""
    program = tmp_path / "bin/ego4d"
    program.parent.mkdir()
    program.write_text(
        "#!/bin/sh\n"
        'echo "$@" >> "$CALLS"\n'
        'if [ -n "$SAY" ]; then echo "$SAY" >&2; exit 1; fi\n'
        'echo "$@" > "$LOG"; mkdir -p "$2/v2/full_scale"; [ -n "$NONE" ] || echo data > "$2/v2/full_scale/$UID_.mp4"\n'
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("LOG", str(tmp_path / "log"))
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    monkeypatch.setenv("UID_", UID)
    (tmp_path / "uids.txt").write_text(f"{UID}\n{UID}\n")
    values = {"kind": "ego4d", "version": "v2", "dataset": "full_scale", "uids": str(tmp_path / "uids.txt"),
              "aws_profile": "ego"}  # fmt: skip
    return Ego4dSource("ego", 0, Ego4dParams.model_validate(REAL | values))


def test_ego4d_drives_the_official_command(ego4d: Ego4dSource, tmp_path: Path) -> None:
    (item,) = ego4d.list_videos()
    assert ego4d.fetch(item, tmp_path).read_text() == "data\n"
    said = (tmp_path / "log").read_text()
    assert "--version v2 --aws_profile_name ego --video_uids " + UID in said
    assert not list(tmp_path.glob(".ego4d*"))


@pytest.mark.parametrize(
    ("says", "reason"),
    [
        ("An error occurred (403) when calling HeadObject: Forbidden", "expired_licence"),
        ("disk on fire", "ego4d_failed"),
    ],
)
def test_ego4d_errors_are_explained(
    ego4d: Ego4dSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str, reason: str
) -> None:
    monkeypatch.setenv("SAY", says)
    with pytest.raises(ItemError) as caught:
        ego4d.fetch(ego4d.list_videos()[0], tmp_path)
    assert caught.value.reason == reason
    assert ("14 days" in caught.value.detail) == (reason == "expired_licence")


def test_expired_keys_are_tried_once_in_a_run(
    ego4d: Ego4dSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forty recordings: one call of the command line, and every recording has its outcome."""
    monkeypatch.setenv("SAY", "An error occurred (403) when calling HeadObject: Forbidden")
    uids = [f"{i:08x}-0000-0000-0000-000000000000" for i in range(40)]
    (tmp_path / "uids.txt").write_text("\n".join(uids))
    write_jsonl(tmp_path / "q.jsonl", [row("q1", uids[0])])
    section = ego4d.options.model_copy(update={"questions": str(tmp_path / "q.jsonl")})
    report = StageReport("download_videos")
    with pytest.raises(EmptyInput, match="no usable video among 40"):
        download_videos.run(data_params({"ego": section}), tmp_path, report)
    assert dict(report.outcomes["video"]) == {"expired_licence": 40}
    assert len((tmp_path / "calls").read_text().splitlines()) == 1


def test_ego4d_without_the_video_without_the_command_without_a_uid(
    ego4d: Ego4dSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (item,) = ego4d.list_videos()
    monkeypatch.setenv("NONE", "1")
    with pytest.raises(ItemError, match="not_found"):
        ego4d.fetch(item, tmp_path)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(StageError, match="pip install ego4d"):
        ego4d.fetch(item, tmp_path)
    (tmp_path / "uids.txt").write_text("$(rm -rf /)\n")
    with pytest.raises(StageError, match="expected Ego4D uids"):
        ego4d.list_videos()


def test_a_source_name_must_name_a_folder() -> None:
    params = data_params({"../out": local_params(Path("a"), Path("b"))})
    with pytest.raises(ParamsError, match="cannot name a folder"):
        build_sources(params)
