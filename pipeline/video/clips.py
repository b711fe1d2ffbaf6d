"""What the stages that work clip by clip share: clips with their videos, and the counting of outcomes."""

from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import ItemError
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
        raw = root / "data/raw"
        videos = {video.video_id: video for video in read_rows(raw / "videos.parquet", Video)}
        clips = sorted(read_rows(root / "data/questions/clips.parquet", Clip), key=lambda clip: clip.clip_id)
        return cls(tuple(clips), videos, raw)

    def usable(self) -> list[tuple[Clip, Video, Path]]:
        """Clips whose video is there, with it and its path."""
        found = ((clip, self.videos[clip.video_id]) for clip in self.clips if clip.video_id in self.videos)
        return [(clip, video, self.raw / video.path) for clip, video in found]


def count_clips(report: StageReport, inputs: ClipInputs, failed: dict[str, ItemError], out: Path) -> None:
    """Count every clip once, quarantine the failed ones and those without a video, write `out`/quarantine.parquet."""
    for clip in inputs.clips:
        error = failed.get(clip.clip_id)
        if clip.video_id not in inputs.videos:
            report.quarantine("clip", clip.clip_id, "no_video", f"{clip.video_id} is not in data/raw")
        elif error is not None:
            report.quarantine("clip", clip.clip_id, error.reason, error.detail)
        else:
            report.count("clip", "ok")
    write_rows(out / "quarantine.parquet", report.quarantined, Quarantined)
