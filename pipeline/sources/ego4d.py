"""Source `ego4d`: recordings of Ego4D by its official command line (`pip install ego4d`)."""

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal

from pipeline.errors import ItemError, StageError
from pipeline.sources.base import SourceParams, VideoItem
from pipeline.sources.real import RealParams, RealSource
from pipeline.sources.rows import read_located, text

_UID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
_EXPIRED = re.compile(r"\b403\b|Forbidden|ExpiredToken|AccessDenied|InvalidAccessKeyId", re.IGNORECASE)


class Ego4dParams(RealParams):
    """Ego4D by its official command line (`pip install ego4d`, licence accepted, AWS keys in `aws_profile`)."""

    version: Literal["v1", "v2", "v2_1"]
    dataset: Literal["full_scale", "video_540ss", "clips"]
    uids: str
    aws_profile: str


class Ego4dSource(RealSource):
    """One recording for each uid of a list (a text file of uids, or a table with a column `video_uid`)."""

    section: ClassVar[type[SourceParams]] = Ego4dParams

    def __init__(self, name: str, seed: int, params: Ego4dParams) -> None:
        super().__init__(name, seed, params)
        self.options = params
        self.holds_ego4d_clips |= params.dataset == "clips"
        self.refused = ""

    def learn_of(self, error: ItemError) -> None:
        """Keys refused for one uid are refused for all, so one failed call is enough."""
        if error.reason == "expired_licence" and not self.refused:
            self.refused = error.detail

    def local_paths(self) -> Sequence[Path]:
        """The list of uids and the questions file."""
        return [Path(self.options.uids), *super().local_paths()]

    def list_videos(self) -> Sequence[VideoItem]:
        """The uids, in order, each once.

        Raises:
            StageError: the list is missing, or one of its lines is not a uid.
        """
        uids = self._uids(Path(self.options.uids))
        wrong = [uid for uid in uids if not _UID.fullmatch(uid)]
        if wrong:
            raise StageError(f"{self.options.uids}: expected Ego4D uids (8-4-4-4-12 hex digits), found {wrong[0]!r}")
        return [self.item(f"{uid}.mp4") for uid in dict.fromkeys(uids)]

    def _uids(self, path: Path) -> list[str]:
        if path.suffix in (".csv", ".json", ".jsonl", ".parquet"):
            return [text(located.row or {}, "video_uid", "video_id") for located in read_located(path)]
        if not path.is_file():
            raise StageError(f"uid list {path} does not exist: correct download_videos.sources.{self.name}.uids")
        return path.read_text(encoding="utf-8").split()

    def fetch(self, item: VideoItem, folder: Path) -> Path:
        """Run the command line for one uid.

        Raises:
            ItemError: `expired_licence` (keys are valid for 14 days), `ego4d_failed`, `not_found`.
        """
        if self.refused:
            raise ItemError("expired_licence", f"not tried: {self.refused}")
        staging = folder / f".ego4d-{item.video_id}"
        staging.mkdir(parents=True, exist_ok=True)
        self._run(item.video_id, staging)
        found = sorted(staging.rglob(f"{item.video_id}.mp4"))
        if not found:
            raise ItemError("not_found", f"{self.options.dataset} {self.options.version} has no {item.video_id}")
        target = found[0].replace(folder / item.filename)
        shutil.rmtree(staging)
        return target

    def _run(self, uid: str, staging: Path) -> None:
        program = shutil.which("ego4d")
        if program is None:
            raise StageError("the ego4d command is not installed: `pip install ego4d`, and see docs/ for the licence")
        command = [program, "--output_directory", str(staging), "--datasets", self.options.dataset,
                   "--version", self.options.version, "--aws_profile_name", self.options.aws_profile,
                   "--video_uids", uid, "-y"]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        if done.returncode == 0:
            return
        said = " ".join((done.stderr or done.stdout).split())
        if _EXPIRED.search(said):
            raise ItemError(
                "expired_licence",
                "the AWS keys of the Ego4D licence were refused: they expire after 14 days; renew them at "
                f"ego4ddataset.com and put them into profile {self.options.aws_profile} ({said[-160:]})",
            )
        raise ItemError("ego4d_failed", said[-300:] or f"exit code {done.returncode}")
