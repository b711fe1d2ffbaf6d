"""Check a user's own videos and questions before anything runs: what is usable, and what a score can show.

The stages' own code decides what a good question is, so the verdict here is that of the run.
"""

import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.checks.dataset import probe_splits
from pipeline.checks.shortcuts import ProbeScore
from pipeline.errors import ItemError, ParamsError
from pipeline.layout import ANNOTATIONS, PREPARED_QUESTIONS, VIDEOS
from pipeline.params import Params
from pipeline.records import Annotation, Quarantined, Question, Video, read_rows, write_rows
from pipeline.reports import StageReport
from pipeline.sources.base import BadRow, VideoItem
from pipeline.sources.local import LocalParams, LocalSource
from pipeline.stages import prepare_questions
from pipeline.text.options import share_of
from pipeline.video.probe import probe

TEST_SHARE = 0.2  # of few recordings
QUESTIONS = ("questions.jsonl", "questions.json", "questions.csv", "questions.parquet")
EXAMPLE = (
    '{"id": "q1", "video": "a.mp4", "question": "What does C take?", "options": ["a knife", "a pan"], "answer": 1}'
)


@dataclass(frozen=True)
class Survey:
    """What a folder holds: usable videos and questions, and what was left out and why. `shares` are the shares of
    recordings that put some on both sides of the split (None: those of params.yaml do)."""

    videos: Mapping[str, Video]
    questions: Sequence[Question]
    left_out: Sequence[Quarantined]
    shares: Mapping[str, float] | None
    probes: Sequence[ProbeScore]

    def count(self, split: str) -> int:
        """Questions of a split."""
        return sum(q.split == split for q in self.questions)

    def recordings(self, split: str) -> int:
        """Recordings that the questions of a split are about."""
        return len({self.videos[q.video_id].parent_video_id for q in self.questions if q.split == split})

    def words(self) -> set[str]:
        """Distinct words of questions and options."""
        return words_of([text for q in self.questions for text in (q.question, *q.options)])


def words_of(texts: Sequence[str]) -> set[str]:
    """Distinct words; case counts, as it does for the tiny model."""
    return {word for text in texts for word in re.findall(r"\w+", text)}


def find_questions(folder: Path) -> Path:
    """The questions file in a folder of videos.

    Raises:
        ParamsError: the file or the folder does not exist.
    """
    if not folder.is_dir():
        raise ParamsError(f"{folder} is not a folder: name the one that holds your videos")
    found = [folder / name for name in QUESTIONS if (folder / name).is_file()]
    if not found:
        raise ParamsError(
            f"{folder} holds no {QUESTIONS[0]}: write one question per line, such as {EXAMPLE} (`answer` counts "
            "from 0; `keyframes_s` may list key times), or name a file with --questions"
        )
    return found[0]


def survey(name: str, source: LocalParams, params: Params) -> Survey:
    """Check the videos and questions of a source that is not in params.yaml yet.

    Raises:
        ParamsError: there is no video, or too few questions for training and a score.
        StageError: too many videos or questions are bad, or the questions file is unreadable.
    """
    here = LocalSource(name, params.seed, source)
    items = here.list_videos()
    if not items:
        raise ParamsError(f"{source.folder} holds no video file")
    report = StageReport("download_videos")
    videos = {item.video_id: video for item in items if (video := _video(item, name, source, report)) is not None}
    report.stop_if_too_bad("video", params.max_bad_fraction)
    rows = [row for row in here.annotations() if _is_good(row, report)]
    report.stop_if_too_bad("question", params.max_bad_fraction)
    shares = _shares(rows, videos, params)
    questions, left_out = _prepared(rows, videos, params, shares)
    probes = probe_splits(questions, videos, params.validate_dataset, params.seed).get("train", [])
    found = Survey(videos, questions, [*report.quarantined, *left_out], shares, probes)
    for split, use in (("train", "train on"), ("test", "judge by")):
        if not found.count(split):
            raise ParamsError(
                f"{source.questions}: no question is left to {use}; training and score need different recordings "
                f"(found {len({v.parent_video_id for v in videos.values()})} with questions): add videos, or say "
                '"split": "train" and "split": "test" in the rows'
            )
    return found


def _video(item: VideoItem, name: str, source: LocalParams, report: StageReport) -> Video | None:
    path = Path(source.folder, item.location)
    try:
        found = probe(path)
    except ItemError as error:
        report.quarantine("video", item.location, error.reason, error.detail, name)
        return None
    report.count("video", "ok", source=name)
    return Video(
        video_id=item.video_id, path=str(path), sha256=item.sha256 or "", bytes=item.bytes or 0, codec=found.codec,
        width=found.width, height=found.height, frames_per_second=found.frames_per_second,
        duration_seconds=found.duration_seconds, rotation=found.rotation, parent_video_id=item.parent_video_id,
        source=name, licence=source.licence,
    )  # fmt: skip


def _is_good(row: Annotation | BadRow, report: StageReport) -> bool:
    if isinstance(row, BadRow):
        report.quarantine("question", row.item_id, row.reason, row.detail)
        return False
    report.count("question", "ok")
    return True


def _prepared(
    rows: Sequence[Any], videos: Mapping[str, Video], params: Params, shares: Mapping[str, float] | None
) -> tuple[list[Question], list[Quarantined]]:
    """What `prepare_questions` makes of the rows."""
    if shares is not None:
        changed = params.prepare_questions.model_copy(
            update={"splits": params.prepare_questions.splits.model_copy(update=dict(shares))}
        )
        params = params.model_copy(update={"prepare_questions": changed})
    report = StageReport("prepare_questions")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_rows(root / VIDEOS, list(videos.values()), Video)
        write_rows(root / ANNOTATIONS, rows, Annotation)
        prepare_questions.run(params, root, report)
        return read_rows(root / PREPARED_QUESTIONS, Question), report.quarantined


def _shares(rows: Sequence[Any], videos: Mapping[str, Video], params: Params) -> dict[str, float] | None:
    """Shares that put some recordings in training and some in the test split; None if those of params.yaml do so
    already.

    The split of a recording is a hash of its name, so that new videos never move old ones between splits. With few
    recordings this may leave one split empty; the border is then put between two of them.
    """
    open_rows = [row for row in rows if row.split is None and row.video_id in videos]
    recordings = {videos[row.video_id].parent_video_id for row in open_rows}
    at = sorted(share_of(recording, params.seed) for recording in recordings)
    now = params.prepare_questions.splits
    if len(at) < len({videos[row.video_id].parent_video_id for row in rows if row.video_id in videos}) or len(at) < 2:
        return None  # the rows state their split, or there is nothing to divide
    if any(share < now.train for share in at) and any(share >= now.train + now.dev for share in at):
        return None
    judged = max(1, round(TEST_SHARE * len(at)))
    border = _between(at[-judged - 1], at[-judged])  # a share is on the right if it is not below
    return {"train": border, "dev": 0.0}  # so few are worth more in training or in the score


def _between(low: float, high: float) -> float:
    """The number with the fewest decimals that is above `low` and not above `high`."""
    for decimals in range(1, 9):
        number = round((low + high) / 2, decimals)
        if low < number <= high:
            return number
    return high
