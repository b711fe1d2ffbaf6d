"""Rows of any schema in a few Arrow files of bounded size; each row is addressed by its item's id.

An item's bucket is a stable hash of its id, so that adding one item rewrites one bucket. A bucket is one file, or
several if it would outgrow `max_bytes`. Files are uncompressed, memory-mapped Arrow IPC, so reading one item touches
only its pages. `manifest.json` is written last: a folder without one is incomplete.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from pydantic import BaseModel, Field
from tqdm import tqdm

from pipeline.errors import ArtifactError
from pipeline.files import replacing, sha256_of, write_json

Row = dict[str, Any]
MANIFEST = "manifest.json"
PROGRESS = "progress.json"  # digests of the files while a run writes them; the manifest replaces it
COMMON = [("item_id", pa.string()), ("key", pa.string())]  # `key`: digest of everything the row was made from


class _Listed(BaseModel, extra="allow"):
    """One file of a manifest; its name cannot lead outside the folder."""

    file: str = Field(pattern=r"^[^/\\\x00]+$")
    bytes: int
    sha256: str


class _Manifest(BaseModel, extra="allow"):
    files: list[_Listed]


SHARD_BYTES = 256 * 2**20  # a shard that would outgrow this becomes several files


@dataclass(frozen=True)
class Layout:
    """How rows become files: the schema begins with `COMMON`."""

    schema: pa.Schema
    buckets: int
    max_bytes: int

    def bucket_of(self, item_id: str) -> int:
        """Bucket of an item: stable across machines, runs and Python versions."""
        return int.from_bytes(hashlib.sha256(item_id.encode()).digest()[:8], "big") % self.buckets


def digest(value: Any) -> str:
    """SHA-256 of a JSON value in canonical form, 32 hex digits."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, allow_nan=False).encode()).hexdigest()[:32]


class Digests:
    """The digests of a folder's finished files, written to disk before each file is put in place.

    A file that does not match (bits flipped on the disk, truncated, put there by somebody) counts as absent.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.noted = {**_noted(folder / MANIFEST), **_noted(folder / PROGRESS)}

    def open(self) -> None:
        """Start writing the folder; from here on it has no manifest."""
        write_json(self.folder / PROGRESS, self._as_json())
        (self.folder / MANIFEST).unlink(missing_ok=True)

    def note(self, name: str, sha256: str) -> None:
        """Record what the file `name` will contain."""
        self.noted[name] = sha256
        write_json(self.folder / PROGRESS, self._as_json())

    def whole(self, path: Path) -> bool:
        """Whether a file is what was written; a mismatch is printed."""
        wanted = self.noted.get(path.name)
        if wanted is not None and wanted == sha256_of(path):
            return True
        tqdm.write(f"{path} is not what was written ({'checksum differs' if wanted else 'no record'}): making it again")
        return False

    def _as_json(self) -> dict[str, Any]:
        return {"files": [{"file": name, "sha256": digest} for name, digest in sorted(self.noted.items())]}


def _noted(path: Path) -> dict[str, str]:
    try:
        files = json.loads(path.read_text(encoding="utf-8"))["files"]
        return {str(entry["file"]): str(entry["sha256"]) for entry in files}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}


def bucket_files(folder: Path, bucket: int) -> list[Path]:
    """The files of one bucket, in order."""
    return sorted(folder.glob(f"shard-{bucket:04d}-*.arrow"))


def read_table(path: Path) -> pa.Table:
    """Memory-map one shard.

    Raises:
        ArtifactError: the file is not a whole Arrow file.
    """
    try:
        return pa.ipc.open_file(pa.memory_map(str(path))).read_all()
    except (pa.ArrowException, OSError) as error:
        raise ArtifactError(f"{path} cannot be read ({error}): delete it and run `dvc repro`") from error


def read_bucket(folder: Path, bucket: int) -> dict[str, Row]:
    """All rows of a bucket by item id; an unreadable file counts as absent (its rows are made again)."""
    rows: list[Row] = []
    for path in bucket_files(folder, bucket):
        try:
            rows += read_table(path).to_pylist()
        except ArtifactError as error:
            tqdm.write(str(error))
    return {row["item_id"]: row for row in rows if "item_id" in row and "key" in row}


def write_bucket(
    folder: Path, layout: Layout, bucket: int, rows: Iterable[Row], digests: Digests | None = None
) -> None:
    """Write a bucket's rows, sorted by item, atomically file by file; delete files that are no longer needed.

    `digests` is read from the folder unless the caller already has it.
    """
    digests = digests or Digests(folder)
    written = []
    for part, chunk in enumerate(_parts(sorted(rows, key=lambda row: row["item_id"]), layout)):
        path = folder / f"shard-{bucket:04d}-{part:03d}.arrow"
        with replacing(path) as partial:
            with pa.OSFile(str(partial), "wb") as sink, pa.ipc.new_file(sink, layout.schema) as writer:
                for row in chunk:  # one batch per row, so that one item is read without its neighbours
                    writer.write_batch(pa.RecordBatch.from_pylist([row], schema=layout.schema))
            digests.note(path.name, sha256_of(partial))
        written.append(path)
    for path in set(bucket_files(folder, bucket)) - set(written):
        path.unlink()


def _parts(rows: Sequence[Row], layout: Layout) -> Iterator[list[Row]]:
    chunk: list[Row] = []
    size = 0
    for row in rows:
        weight = _weight(row)
        if chunk and size + weight > layout.max_bytes:
            yield chunk
            chunk, size = [], 0
        chunk.append(row)
        size += weight
    if chunk:
        yield chunk


def _weight(value: Any) -> int:
    """Approximate bytes of a row's content."""
    if isinstance(value, dict):
        return sum(map(_weight, value.values()))
    if isinstance(value, list):
        return sum(map(_weight, value))
    return len(value) if isinstance(value, str | bytes) else 8


def write_manifest(folder: Path, layout: Layout, settings: dict[str, Any]) -> None:
    """Finish the folder: list its files with their digests, and delete what belongs to no bucket."""
    files = []
    for path in sorted(folder.glob("shard-*")):
        if path.suffix != ".arrow" or int(path.name.split("-")[1]) >= layout.buckets:
            path.unlink()
            continue
        files.append({"file": path.name, "bytes": path.stat().st_size, "sha256": sha256_of(path)})
    write_json(folder / MANIFEST, {"settings": settings, "files": files})
    (folder / PROGRESS).unlink(missing_ok=True)


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read the manifest of a complete folder.

    Raises:
        ArtifactError: there is none, or a listed file is missing or is not what was written.
    """
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        listed = _Manifest.model_validate(manifest).files
    except (OSError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ArtifactError(f"{folder / MANIFEST} cannot be read ({reason}): run `dvc repro` to make it") from error
    for entry in listed:
        path = folder / entry.file
        if not path.is_file() or path.stat().st_size != entry.bytes:
            raise ArtifactError(f"{path} is missing or damaged: run `dvc repro` (or `dvc pull`) to restore it")
        if sha256_of(path) != entry.sha256:
            raise ArtifactError(
                f"{path} is not what was written (sha256 differs): delete it and run `dvc repro` to make it again"
            )
    return manifest
