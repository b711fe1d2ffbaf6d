"""The dataset as the checks see it: the products of earlier stages, and the rows that may stay."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.checks.clips import ClipLook
from pipeline.checks.leakage import Leak, Reference, find_leaks
from pipeline.checks.lookalikes import find_lookalikes
from pipeline.checks.shortcuts import ProbeScore, probe_questions
from pipeline.errors import ArtifactError, ParamsError
from pipeline.frames.store import FrameStore
from pipeline.layout import ANNOTATIONS, CLIPS, FRAMES, MINED, PREPARED_QUESTIONS, SOURCE_KINDS, VIDEOS
from pipeline.params import ValidateDataset
from pipeline.records import Annotation, Clip, Keyframe, Question, Video, read_rows
from pipeline.reports import StageReport

UNWANTED = "none"
PROBED_QUESTIONS = 20_000  # the learned probes use at most this many
MADE_HERE = "synthetic"
"""The kind of source whose videos this pipeline renders itself: so they cannot contain a benchmark's videos."""


@dataclass(frozen=True)
class DatasetInputs:
    """Products of the earlier stages; `videos` by id, `kinds` of sources by name."""

    kinds: Mapping[str, str]
    videos: Mapping[str, Video]
    annotations: int
    questions: list[Question]
    clips: list[Clip]
    keyframes: list[Keyframe]
    store: FrameStore


def read_dataset(root: Path) -> DatasetInputs:
    """Read the products below `root/data`.

    Raises:
        ArtifactError: a product is missing or damaged.
    """
    return DatasetInputs(
        kinds=_read_kinds(root / SOURCE_KINDS),
        videos={row.video_id: row for row in read_rows(root / VIDEOS, Video)},
        annotations=len(read_rows(root / ANNOTATIONS, Annotation)),
        questions=read_rows(root / PREPARED_QUESTIONS, Question),
        clips=read_rows(root / CLIPS, Clip),
        keyframes=read_rows(root / MINED, Keyframe),
        store=FrameStore(root / FRAMES),
    )


def with_frames(inputs: DatasetInputs, report: StageReport) -> list[Question]:
    """The questions whose clip has frames; the others go to quarantine."""
    kept = []
    for question in inputs.questions:
        if question.clip_id in inputs.store:
            kept.append(question)
            report.count("question", "ok", source=question.source)
        else:
            report.quarantine("question", question.question_id, "no_frames", question.clip_id, question.source)
    return kept


def _read_kinds(path: Path) -> dict[str, str]:
    try:
        return {str(name): str(kind) for name, kind in json.loads(path.read_text(encoding="utf-8")).items()}
    except (OSError, ValueError, AttributeError) as error:
        raise ArtifactError(f"{path} is missing or damaged ({error}): run `dvc repro download_videos`") from error


def reference_of(
    inputs: DatasetInputs,
    questions: Sequence[Question],
    settings: ValidateDataset,
    root: Path,
    held_out: tuple[str, ...] = ("dev", "test"),
) -> Reference:
    """What evaluation uses: the dataset's own rows of the splits `held_out`, and EgoSchema's recordings.

    Raises:
        ParamsError: training data are real, and no setting says where EgoSchema's recordings are listed.
    """
    reference = Reference()
    reference.add_questions([q for q in questions if q.split in held_out], inputs.videos)
    real = sorted({q.source for q in questions if q.split == "train" and inputs.kinds.get(q.source) != MADE_HERE})
    if real and settings.egoschema_windows is None:
        raise ParamsError(needs_windows(real))
    if real and settings.egoschema_windows != UNWANTED and settings.egoschema_questions is None:
        raise ParamsError(needs_questions(real))
    if settings.egoschema_windows not in (None, UNWANTED):
        reference.add_windows(root / str(settings.egoschema_windows))
    if settings.egoschema_questions not in (None, UNWANTED):
        reference.add_texts(root / str(settings.egoschema_questions))
    return reference


def needs_windows(sources: Sequence[str]) -> str:
    """The message that asks for EgoSchema's recordings."""
    return (
        f"training data from {', '.join(sources)} may contain EgoSchema's videos: set "
        "validate_dataset.egoschema_windows to "
        f"EgoSchema's uid_to_ego4d.json (github.com/egoschema/EgoSchema), or to `{UNWANTED}` if you will not score "
        "on EgoSchema"
    )


def needs_questions(sources: Sequence[str]) -> str:
    """The message that asks for EgoSchema's texts."""
    return (
        f"training data from {', '.join(sources)} may repeat EgoSchema's questions: set "
        "validate_dataset.egoschema_questions "
        f"to its question file (the hub's MC parquet or questions.json), or to `{UNWANTED}` to leave texts unchecked"
    )


def decontaminate(
    questions: Sequence[Question],
    looks: Sequence[ClipLook],
    inputs: DatasetInputs,
    settings: ValidateDataset,
    root: Path,
) -> list[Leak]:
    """The leaks by ids, times and texts; by frames if a video's recording is not known.

    Training rows are compared with all that is held out. Dev rows choose the step, so those of real sources may not
    show the recordings of the test rows or of EgoSchema; that they ask in the same words does no harm.
    """
    training = [q for q in questions if q.split == "train"]
    dev = [q for q in questions if q.split == "dev" and inputs.kinds.get(q.source) != MADE_HERE]
    by_id = {look.clip_id: look for look in looks}
    leaks: list[Leak] = []
    for rows, held_out in ((training, ("dev", "test")), (dev, ("test",))):
        if rows:
            reference = reference_of(inputs, questions, settings, root, held_out)
            evaluation = [q for q in questions if q.split in held_out]
            found = _leaks_among(rows, evaluation, by_id, inputs, reference, settings)
            leaks += [leak for leak in found if leak.kind != "text" or rows is training]
    return leaks


def _leaks_among(
    rows: Sequence[Question],
    evaluation: Sequence[Question],
    looks: Mapping[str, ClipLook],
    inputs: DatasetInputs,
    reference: Reference,
    settings: ValidateDataset,
) -> list[Leak]:
    leaks = find_leaks(rows, inputs.videos, reference, settings.text_similarity)
    leaking = {leak.question_id for leak in leaks}
    unknown = [q for q in rows if q.question_id not in leaking and _recording_unknown(q, inputs)]
    return leaks + find_lookalikes(unknown, evaluation, looks)


def _recording_unknown(question: Question, inputs: DatasetInputs) -> bool:
    """Whether a video counts as its own recording and is not synthetic."""
    video = inputs.videos[question.video_id]
    return video.parent_video_id == video.video_id and inputs.kinds.get(video.source) != MADE_HERE


def probe_splits(
    questions: Sequence[Question], videos: Mapping[str, Video], settings: ValidateDataset, seed: int
) -> dict[str, list[ProbeScore]]:
    """Shortcut probes of every split that has public answers."""
    scores = {}
    for split in sorted({q.split for q in questions}):
        own = [q for q in questions if q.split == split]
        recordings = [videos[q.video_id].parent_video_id for q in own]
        scores[split] = probe_questions(own, recordings, PROBED_QUESTIONS, seed)
    return {split: found for split, found in scores.items() if found}
