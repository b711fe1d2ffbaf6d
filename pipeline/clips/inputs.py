"""What stages that work clip by clip share: clips with their videos, and counts of outcomes."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import ArtifactError, ItemError
from pipeline.layout import CLIPS, RAW, VIDEOS
from pipeline.records import Clip, Quarantined, Video, read_rows, write_rows
from pipeline.reports import StageReport


@dataclass(frozen=True)
class ClipInputs:
    """The clips of `data/questions` (sorted by id) and the videos of `data/raw`, by id."""

    clips: tuple[Clip, ...]
    videos: dict[str, Video]
    raw: Path

    @classmethod
    def read(cls, root: Path) -> "ClipInputs":
        """Read both manifests.

        Raises:
            ArtifactError: one is missing or damaged.
        """
        raw = root / RAW
        videos = {video.video_id: video for video in read_rows(root / VIDEOS, Video)}
        _look_at_inputs(videos.values(), raw)
        clips = sorted(read_rows(root / CLIPS, Clip), key=lambda clip: clip.clip_id)
        return cls(tuple(clips), videos, raw)

    def usable(self) -> list[tuple[Clip, Video, Path]]:
        """The clips whose video is there, each with its video and path."""
        found = ((clip, self.videos[clip.video_id]) for clip in self.clips if clip.video_id in self.videos)
        return [(clip, video, self.raw / video.path) for clip, video in found]


def _look_at_inputs(videos: Iterable[Video], raw: Path) -> None:
    """Check that videos read in place are still those of the manifest, judged by their size: DVC does not watch them.

    Raises:
        ArtifactError: a video is missing or has a different size.
    """
    for video in videos:
        path = raw / video.path
        if video.path.startswith("../") and not (path.is_file() and path.stat().st_size == video.bytes):
            shown = video.path.replace("../", "")
            raise ArtifactError(
                f"{shown} is missing or has changed since it was probed: run `egovlm run --force download_videos`"
            )


def count_clips(report: StageReport, inputs: ClipInputs, failed: dict[str, ItemError], out: Path) -> None:
    """Count every clip once, quarantine the failed ones and those without a video, write `out`/quarantine.parquet."""
    for clip in inputs.clips:
        error, video = failed.get(clip.clip_id), inputs.videos.get(clip.video_id)
        if video is None:
            report.quarantine("clip", clip.clip_id, "no_video", f"{clip.video_id} is not in data/raw")
        elif error is not None:
            report.quarantine("clip", clip.clip_id, error.reason, error.detail, video.source)
        else:
            report.count("clip", "ok", source=video.source)
    write_rows(out / "quarantine.parquet", report.quarantined, Quarantined)
