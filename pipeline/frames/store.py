"""The frame store: JPEG frames of every clip, addressed by the clip's id."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.errors import ArtifactError
from pipeline.frames.jpeg import decode_jpeg
from pipeline.frames.shards import COMMON, read_manifest, read_table

SCHEMA = pa.schema(
    [
        *COMMON,
        ("video_id", pa.string()),
        ("pts_seconds", pa.list_(pa.float64())),
        # start of the video file; pts_seconds + origin_seconds is the container's own time
        ("origin_seconds", pa.float64()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("decode_method", pa.string()),  # how the frames were decoded: `plan` or `full`
        ("jpegs", pa.list_(pa.large_binary())),
    ]
)


@dataclass(frozen=True)
class Frames:
    """Frames of one clip: `images` is RGB `uint8 [T, H, W, 3]`, `pts_seconds` `float64 [T]` from the file's start."""

    images: NDArray[np.uint8]
    pts_seconds: NDArray[np.float64]

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or self.images.shape[3] != 3 or self.images.dtype != np.uint8:
            raise ValueError(f"images must be uint8 [T, H, W, 3], not {self.images.dtype} {self.images.shape}")
        if self.pts_seconds.shape != self.images.shape[:1]:
            raise ValueError(f"{self.images.shape[0]} images need as many pts_seconds, not {self.pts_seconds.shape}")

    def __repr__(self) -> str:
        return f"Frames(images={self.images.shape}, pts_seconds={self.pts_seconds.round(3).tolist()})"

    def __len__(self) -> int:
        return len(self.images)


class FrameStore:
    """Read access to a folder that `extract_frames` made. Small and picklable; files are mapped when first needed.

    Raises:
        ArtifactError: the folder has no manifest, or a shard is missing or damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings: dict[str, Any] = {}
        self._places: dict[str, tuple[str, int]] = {}
        self._tables: dict[str, pa.Table] = {}
        manifest = read_manifest(folder)
        self.settings |= manifest["settings"]
        for entry in manifest["files"]:
            ids = self._values(entry["file"], "item_id")
            self._places.update({clip_id: (entry["file"], row) for row, clip_id in enumerate(ids)})

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_tables": {}}

    def __repr__(self) -> str:
        return f"FrameStore({str(self.folder)!r}, {len(self._places)} clips)"

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, clip_id: object) -> bool:
        return clip_id in self._places

    def clip_ids(self) -> list[str]:
        """Ids of all clips, sorted."""
        return sorted(self._places)

    def load(self, clip_id: str) -> Frames:
        """Decode the frames of one clip.

        Raises:
            KeyError: the store has no such clip.
            ArtifactError: a stored frame is damaged.
        """
        row = self._row(clip_id)
        images = np.stack([decode_jpeg(data.as_py()) for data in row["jpegs"]])
        if images.shape[1:3] != (row["height"].as_py(), row["width"].as_py()):
            raise ArtifactError(
                f"frames of {clip_id} in {self.folder} have the shape {images.shape}: run `dvc repro` to make them "
                "again"
            )
        return Frames(images, np.array(row["pts_seconds"].as_py(), np.float64))

    def pts_seconds(self, clip_id: str) -> NDArray[np.float64]:
        """Times of a clip's frames, `float64 [T]`, without decoding them."""
        return np.array(self._row(clip_id)["pts_seconds"].as_py(), np.float64)

    def column(self, name: str) -> list[Any]:
        """One column of all clips, in the order of the files."""
        return [value for file in sorted({f for f, _ in self._places.values()}) for value in self._values(file, name)]

    def _values(self, file: str, name: str) -> list[Any]:
        values: list[Any] = self._table(file).column(name).to_pylist()
        return values

    def size(self, clip_id: str) -> tuple[int, int]:
        """(width, height) of a clip's frames in pixels, without decoding them."""
        row = self._row(clip_id)
        return row["width"].as_py(), row["height"].as_py()

    def _row(self, clip_id: str) -> dict[str, Any]:
        file, row = self._places[clip_id]
        table = self._table(file)
        return {name: table.column(name)[row] for name in table.column_names}

    def _table(self, file: str) -> pa.Table:
        if file not in self._tables:
            self._tables[file] = read_table(self.folder / file)
        return self._tables[file]
