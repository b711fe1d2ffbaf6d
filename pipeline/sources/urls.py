"""Source `urls`: a manifest of addresses, with checksums and sizes if known."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import ClassVar
from urllib.parse import unquote, urlsplit

from pydantic import Field

from pipeline.errors import ItemError, StageError
from pipeline.sections import Positive
from pipeline.sources.base import SourceParams, VideoItem
from pipeline.sources.download import DownloadLimits, download
from pipeline.sources.paths import VIDEO_SUFFIXES
from pipeline.sources.real import RealParams, RealSource
from pipeline.sources.recordings import recording_of
from pipeline.sources.rows import Raw, number, read_located, safe_id, text


class UrlsParams(RealParams):
    """A list of addresses (CSV, JSONL): see `UrlsSource`."""

    manifest: str
    retries: int = Field(ge=0)
    timeout_seconds: float = Field(gt=0)
    max_bytes: Positive


class UrlsSource(RealSource):
    """Files behind HTTP addresses. A row: `video_id, url`, and if known `sha256`, `md5`, `bytes`, `parent_video_id`,
    `parent_start_seconds`, `licence`."""

    section: ClassVar[type[SourceParams]] = UrlsParams

    def __init__(self, name: str, seed: int, params: UrlsParams) -> None:
        super().__init__(name, seed, params)
        self.manifest = Path(params.manifest)
        self.limits = DownloadLimits(params.retries, params.timeout_seconds, params.max_bytes)

    def local_paths(self) -> Sequence[Path]:
        """The manifest and the questions file."""
        return [self.manifest, *super().local_paths()]

    def list_videos(self) -> Sequence[VideoItem]:
        """The rows of the manifest; an unreadable row stops the stage, because it would otherwise be lost without a
        trace."""
        items = []
        for located in read_located(self.manifest):
            try:
                if located.row is None:
                    raise ItemError("malformed_row", located.problem)
                items.append(self._item(located.row))
            except ItemError as error:
                raise StageError(f"{self.manifest}: {located.where}: {error}") from error
        return items

    def _item(self, row: Raw) -> VideoItem:
        url, video_id = text(row, "url"), safe_id(text(row, "video_id"))
        suffix = PurePosixPath(unquote(urlsplit(url).path)).suffix.lower()
        recording, stated = recording_of(video_id), row.get("parent_video_id")
        start = row.get("parent_start_seconds")
        return VideoItem(
            video_id=video_id,
            filename=video_id + (suffix if suffix in VIDEO_SUFFIXES else ".mp4"),
            parent_video_id=safe_id(stated or (recording.recording_id if recording else video_id)),
            parent_rule="stated in the manifest" if stated else recording.rule if recording else "",
            licence=str(row.get("licence") or self.params.licence),
            parent_start_seconds=None if start is None else number(start, "parent_start_seconds"),
            bytes=None if row.get("bytes") is None else int(number(row["bytes"], "bytes")),
            sha256=_hex(row, "sha256", 64),
            md5=_hex(row, "md5", 32),
            location=url,
        )

    def fetch(self, item: VideoItem, folder: Path) -> Path:
        """Download one video; bytes from an earlier run are kept if that is safe."""
        if item.bytes is not None and item.bytes > self.limits.max_bytes:
            raise ItemError(
                "too_large", f"the manifest says {item.bytes} bytes, but max_bytes is {self.limits.max_bytes}"
            )
        checked = bool(item.sha256 or item.md5)
        return download(item.location, folder / item.filename, self.limits, checked, item.bytes)

    def fingerprint(self, item: VideoItem) -> str:
        """A new address with the same checksum (a renewed link) is the same file."""
        known = replace(item, location=urlsplit(item.location)._replace(query="").geturl())
        return super().fingerprint(known)


def _hex(row: Raw, name: str, digits: int) -> str | None:
    value = row.get(name)
    if value is None:
        return None
    found = str(value).strip().lower()
    if len(found) != digits or set(found) - set("0123456789abcdef"):
        raise ItemError("wrong_type", f"{name}: expected {digits} hex digits, found {found[:80]!r}")
    return found
