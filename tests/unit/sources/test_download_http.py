"""The downloader against a server with faults: every fault of the table, and what must become of it."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import ItemError
from pipeline.sources.download import CHUNK, DownloadLimits, download
from tests.support.fault_server import FaultServer, serving

SIZE = 300_000
LIMITS = DownloadLimits(retries=2, timeout_seconds=0.6, max_bytes=10_000_000, first_wait_seconds=0.0)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FaultServer]:
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "a.mp4").write_bytes(bytes(i * 31 % 251 for i in range(SIZE)))
    with serving(folder) as running:
        yield running


def _get(server: FaultServer, tmp_path: Path, checked: bool = True, query: str = "", **limits: Any) -> Path:
    return download(
        f"{server.url}/a.mp4{query}", tmp_path / "out.mp4", DownloadLimits(**{**LIMITS.__dict__, **limits}), checked
    )


MENDED = {
    "no fault": ([], 1),
    "redirect": (["redirect"], 2),
    "reset half way": (["reset"], 2),
    "truncated twice": (["truncated", "truncated"], 3),
    "rate limited": ([429], 2),
    "unavailable": ([503, 503], 3),
    "server error": ([500], 2),
    "range ignored": (["reset", "no_range"], 2),
    "slow": (["slow"], 2),
    "asked to wait until a date": (["later"], 2),
}


@pytest.mark.parametrize("name", MENDED)
def test_faults_that_are_mended(name: str, server: FaultServer, tmp_path: Path) -> None:
    server.plan["a.mp4"], requests = list(MENDED[name][0]), MENDED[name][1]
    path = _get(server, tmp_path)
    assert path.read_bytes() == (server.folder / "a.mp4").read_bytes()
    assert server.requests["a.mp4"] == requests
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.mp4", "served"]


REFUSED: dict[str, tuple[list[Any], str, str]] = {
    "forbidden": ([403], "", "forbidden"),
    "expired link": ([403], "?X-Amz-Expires=60&X-Amz-Signature=00", "expired_link"),
    "gone": ([410], "", "not_found"),
    "rate limited for ever": ([429] * 9, "", "rate_limited"),
    "server error for ever": ([500] * 9, "", "http_error"),
    "claims 10 GB": (["huge"], "", "too_large"),
    "not allowed": ([405], "", "http_error"),
    "key too old (S3)": (["expired_key"], "", "expired_link"),
    "bad request": ([400], "", "http_error"),
    "packed as gzip": (["gzip"], "", "encoded"),
    "redirect to a file": (["to:file:///etc/passwd"], "", "unsafe_redirect"),
    "redirects in a circle": (["redirect"] * 40, "", "redirect_loop"),
    "redirect to ftp": (["to:ftp://127.0.0.1/a.mp4"], "", "unsafe_redirect"),
    "redirect to a password": (["to:http://me:secret@127.0.0.1:9/a.mp4"], "", "unsafe_redirect"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_faults_that_are_refused(name: str, server: FaultServer, tmp_path: Path) -> None:
    faults, query, reason = REFUSED[name]
    server.plan["a.mp4"] = list(faults)
    with pytest.raises(ItemError) as caught:
        _get(server, tmp_path, query=query)
    assert caught.value.reason == reason
    assert not (tmp_path / "out.mp4").exists()


def test_a_resumed_file_asks_only_for_what_is_missing(server: FaultServer, tmp_path: Path) -> None:
    server.plan["a.mp4"] = ["reset"]
    _get(server, tmp_path)
    assert server.ranges == [None, f"bytes={SIZE // 2}-"]
    assert server.sent_bytes == SIZE


def test_without_a_checksum_an_old_partial_file_is_not_trusted(server: FaultServer, tmp_path: Path) -> None:
    (tmp_path / "out.mp4.partial").write_bytes(b"another version")
    path = _get(server, tmp_path, checked=False)
    assert path.read_bytes() == (server.folder / "a.mp4").read_bytes()
    assert server.ranges == [None]


def _another_run_after_half(server: FaultServer, tmp_path: Path) -> Path:
    """A run that had half of the file and gave up, then one without faults; neither knows a checksum."""
    server.plan["a.mp4"] = ["truncated", 500]
    with pytest.raises(ItemError, match="http_error"):
        _get(server, tmp_path, checked=False, retries=0)
    server.ranges.clear()
    return _get(server, tmp_path, checked=False)


def test_without_a_checksum_the_servers_own_version_allows_to_go_on(server: FaultServer, tmp_path: Path) -> None:
    server.versions = True
    assert _another_run_after_half(server, tmp_path).read_bytes() == (server.folder / "a.mp4").read_bytes()
    assert server.ranges == [f"bytes={SIZE // 2}-"]
    assert server.sent_bytes == SIZE
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.mp4", "served"]


def test_a_file_that_changed_on_the_server_is_fetched_whole(server: FaultServer, tmp_path: Path) -> None:
    server.versions = True
    server.plan["a.mp4"] = ["truncated", 500]
    with pytest.raises(ItemError, match="http_error"):
        _get(server, tmp_path, checked=False, retries=0)
    (server.folder / "a.mp4").write_bytes(bytes(i * 17 % 249 for i in range(SIZE)))
    assert _get(server, tmp_path, checked=False).read_bytes() == (server.folder / "a.mp4").read_bytes()


def test_without_checksum_and_version_nothing_is_continued_and_nothing_goes_on_for_ever(
    server: FaultServer, tmp_path: Path
) -> None:
    assert _another_run_after_half(server, tmp_path).read_bytes() == (server.folder / "a.mp4").read_bytes()
    assert server.ranges == [None]
    server.plan["a.mp4"] = ["truncated"] * 9
    with pytest.raises(ItemError, match=r"truncated: .*\(3 attempts\)"):
        _get(server, tmp_path, checked=False)


def test_another_size_than_the_manifest_says_is_refused_before_the_bytes(server: FaultServer, tmp_path: Path) -> None:
    with pytest.raises(ItemError, match="wrong_size: expected 7 bytes"):
        download(f"{server.url}/a.mp4", tmp_path / "out.mp4", LIMITS, checked=True, expected=7)
    assert not list(tmp_path.glob("out*"))


def test_a_partial_file_longer_than_the_servers_starts_again(server: FaultServer, tmp_path: Path) -> None:
    (tmp_path / "out.mp4.partial").write_bytes(bytes(SIZE + 5))
    path = _get(server, tmp_path)
    assert path.read_bytes() == (server.folder / "a.mp4").read_bytes()


def test_a_complete_partial_file_is_taken_as_it_is(server: FaultServer, tmp_path: Path) -> None:
    (tmp_path / "out.mp4.partial").write_bytes((server.folder / "a.mp4").read_bytes())
    assert _get(server, tmp_path).stat().st_size == SIZE
    assert server.sent_bytes == 0


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://127.0.0.1/a", "a.mp4", "http://me:secret@127.0.0.1:9/a.mp4", "http:///a.mp4",
            "http://127.0.0.1:port/a.mp4"],
)  # fmt: skip
def test_only_http(url: str, tmp_path: Path) -> None:
    with pytest.raises(ItemError, match="unsafe_url"):
        download(url, tmp_path / "out.mp4", LIMITS, checked=False)


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ItemError, match=r"connection: .*\(3 attempts\)"):
        download("http://127.0.0.1:9/a.mp4", tmp_path / "out.mp4", LIMITS, checked=True)


def test_after_a_kill_at_most_the_last_chunk_is_fetched_again(tmp_path: Path) -> None:
    folder = tmp_path / "served"
    folder.mkdir()
    size = 40 * CHUNK
    with (folder / "big.mp4").open("wb") as file:
        file.truncate(size)
    with serving(folder) as server:
        limits = "DownloadLimits(retries=0, timeout_seconds=20, max_bytes=10**9)"
        code = (
            "import pathlib, time; from pipeline.sources import download as d\n"
            "whole = d.time.monotonic\n"
            "d.time.monotonic = lambda: (time.sleep(0.02), whole())[1]\n"  # slow enough to be killed half way
            f"d.download('{server.url}/big.mp4', pathlib.Path('{tmp_path}/out.mp4'), d.{limits}, True)"
        )
        process = subprocess.Popen([sys.executable, "-c", code])
        partial = tmp_path / "out.mp4.partial"
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and (not partial.exists() or partial.stat().st_size < 3 * CHUNK):
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        had = partial.stat().st_size
        assert 0 < had < size
        server.ranges.clear()
        path = download(f"{server.url}/big.mp4", tmp_path / "out.mp4", DownloadLimits(0, 20.0, 10**9), checked=True)
        assert server.ranges == [f"bytes={had}-"]
        assert path.stat().st_size == size
