"""Decontamination: which training and dev rows show what the evaluation asks about.

A row leaks in three cases. Its recording is one that evaluation uses (`parent`; `window` if the times overlap too). Its
question or video has an evaluation item's id (`id`). Or its wording is an evaluation item's (`text`): question and
options together repeat or reword one, or the question alone does.
Frames of videos without known recordings are compared in `pipeline.checks.lookalikes`.
"""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.checks.wording import Wordings
from pipeline.errors import ItemError, ParamsError
from pipeline.records import Question, Video
from pipeline.text.duplicates import near_matches
from pipeline.text.options import clean_options, normalise_text

KINDS = ("id", "window", "parent", "text", "frames")
Window = tuple[float, float]
# a question asked about this many training recordings identifies none: it must be repeated whole
TEMPLATE_RECORDINGS = 3
FEWEST_WORDS = 8  # a shorter question alone identifies no item; EgoSchema's shortest has 8
REWORDED_ALONE, REWORDED_TOGETHER = 0.6, 0.4  # Jaccard of distinctive word pairs: a question, and one with options
LEAST_ALONE, LEAST_TOGETHER = 6, 12  # distinctive word pairs that a question, and question with options, must have


@dataclass
class Reference:
    """What evaluation uses: recordings with the windows taken from them (seconds), ids, texts."""

    windows: dict[str, list[Window]] = field(default_factory=dict)
    ids: set[str] = field(default_factory=set)
    texts: dict[str, str] = field(default_factory=dict)
    questions: dict[str, str] = field(default_factory=dict)

    def add_windows(self, path: Path) -> None:
        """EgoSchema's `uid_to_ego4d.json`: `{q_uid: {video_uid, starting_sec, ending_sec}}`.

        Raises:
            ParamsError: the file is missing or has a different format.
        """
        try:
            rows = json.loads(path.read_text(encoding="utf-8"))
            for uid, row in rows.items():
                window = (float(row["starting_sec"]), float(row["ending_sec"]))
                self.windows.setdefault(row["video_uid"], []).append(window)
                self.ids.add(uid)
        except OSError as error:
            raise ParamsError(f"validate_dataset.egoschema_windows: {path} cannot be read: {error.strerror}") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ParamsError(
                f"validate_dataset.egoschema_windows: {path} is not EgoSchema's uid_to_ego4d.json "
                f"({{q_uid: {{video_uid, starting_sec, ending_sec}}}}): {type(error).__name__} {error}"
            ) from error

    def add_texts(self, path: Path) -> None:
        """EgoSchema's questions, as the hub's parquet or the original `questions.json`.

        Raises:
            ParamsError: the file is missing or has a different format.
        """
        try:
            rows = pq.read_table(path).to_pylist() if path.suffix == ".parquet" else json.loads(path.read_text("utf-8"))
            if not rows:
                raise ValueError("it contains no question")
            for row in rows:
                uid = row.get("q_uid") or row["video_idx"]
                options = row.get("option") or [row[f"option {i}"] for i in range(5)]
                self.texts[uid] = _joined(row["question"], clean_options(options))
                self.questions[uid] = row["question"]
                self.ids.add(uid)
        except (OSError, pa.ArrowException, ValueError, KeyError, TypeError, AttributeError, ItemError) as error:
            raise ParamsError(
                f"validate_dataset.egoschema_questions: {path} is not EgoSchema's question file (parquet or "
                f"questions.json): {type(error).__name__} {' '.join(str(error).split())[:200]}"
            ) from error

    def add_questions(self, questions: Sequence[Question], videos: Mapping[str, Video]) -> None:
        """The dataset's own evaluation rows.

        A text used for several recordings is a template ("How many objects lie there?"), which identifies no item.
        """
        recordings: dict[str, set[str]] = defaultdict(set)
        for question in questions:
            video = videos[question.video_id]
            start = (video.parent_start_seconds or 0.0) + question.start_seconds
            end = start + question.end_seconds - question.start_seconds
            self.windows.setdefault(video.parent_video_id, []).append((start, end))
            self.ids |= {question.question_id, question.video_id}
            for text in (compared_text(question), normalise_text(question.question)):
                recordings[text].add(video.parent_video_id)
        for question in questions:
            text = compared_text(question)
            if len(recordings[text]) == 1:
                self.texts[question.question_id] = text
            if len(recordings[normalise_text(question.question)]) == 1:
                self.questions[question.question_id] = question.question


@dataclass(frozen=True)
class Leak:
    """A training row that shows what `reference` (an evaluation id or recording) asks about."""

    question_id: str
    source: str
    kind: str
    reference: str


def compared_text(question: Question) -> str:
    """Question and options, with options sorted, so that their order makes no difference."""
    return _joined(question.question, question.options)


def _joined(question: str, options: Sequence[str]) -> str:
    return " ".join([question, *sorted(options, key=normalise_text)])


def find_leaks(
    training: Sequence[Question],
    videos: Mapping[str, Video],
    reference: Reference,
    similarity: float,
) -> list[Leak]:
    """The leaking rows of `training` in the given order, each once, with its strongest kind (`KINDS` in order).

    Args:
        similarity: question and options repeat an evaluation item, however short, from this Jaccard similarity of
            word shingles on. `REWORDED_TOGETHER` and `REWORDED_ALONE` are the bounds for other wordings.
    """
    repeated = _repeated_texts(training, reference, similarity)
    repeated = _reworded_texts(training, videos, reference) | repeated
    leaks: list[Leak] = []
    for question in training:
        found = _by_id(question, reference) or _by_recording(question, videos[question.video_id], reference)
        if found is None and question.question_id in repeated:
            found = ("text", repeated[question.question_id])
        if found is not None:
            leaks.append(Leak(question.question_id, question.source, *found))
    return leaks


def _by_id(question: Question, reference: Reference) -> tuple[str, str] | None:
    hit = next((own for own in (question.question_id, question.video_id) if own in reference.ids), None)
    return None if hit is None else ("id", hit)


def _by_recording(question: Question, video: Video, reference: Reference) -> tuple[str, str] | None:
    windows = reference.windows.get(video.parent_video_id)
    if windows is None:
        return None
    kind = "parent"
    if video.parent_start_seconds is not None or video.parent_video_id == video.video_id:
        start = (video.parent_start_seconds or 0.0) + question.start_seconds
        end = start + question.end_seconds - question.start_seconds
        if any(start < other_end and other_start < end for other_start, other_end in windows):
            kind = "window"
    return kind, video.parent_video_id


def _repeated_texts(training: Sequence[Question], reference: Reference, similarity: float) -> dict[str, str]:
    ids = list(reference.texts)
    matches = near_matches([compared_text(q) for q in training], list(reference.texts.values()), similarity)
    return {training[own].question_id: ids[other] for own, other in matches.items()}


def _reworded_texts(training: Sequence[Question], videos: Mapping[str, Video], reference: Reference) -> dict[str, str]:
    """Question id -> evaluation id, if question and options together, or the question alone, are a rewording."""
    asked: dict[str, set[str]] = defaultdict(set)
    for question in training:
        asked[normalise_text(question.question)].add(videos[question.video_id].parent_video_id)
    together = Wordings(reference.texts, {compared_text(q) for q in training})
    alone = Wordings(reference.questions, asked)
    same = {normalise_text(text): uid for uid, text in sorted(reference.questions.items(), reverse=True)}
    of_question = {
        text: same.get(text) or alone.nearest(text, REWORDED_ALONE, LEAST_ALONE)
        for text, recordings in asked.items()
        if len(recordings) < TEMPLATE_RECORDINGS and len(text.split()) >= FEWEST_WORDS
    }
    found: dict[str, str] = {}
    for question in training:
        if len(asked[normalise_text(question.question)]) >= TEMPLATE_RECORDINGS:
            continue
        hit = of_question.get(normalise_text(question.question)) or together.nearest(
            compared_text(question), REWORDED_TOGETHER, LEAST_TOGETHER
        )
        if hit is not None:
            found[question.question_id] = hit
    return found


def leakage_report(
    leaks: Sequence[Leak], training: Sequence[Question], allowed: bool, facts: dict[str, Any]
) -> dict[str, Any]:
    """Counts and examples per source and kind; `leaky` is true if leaking rows stay in the data."""
    sources = sorted({q.source for q in training} | {leak.source for leak in leaks})
    return {
        "leaky": allowed and bool(leaks),
        "allowed": allowed,
        "training_questions": len(training),
        "leaks": len(leaks),
        **facts,
        "sources": {source: _of_source(source, leaks, training) for source in sources},
    }


def _of_source(source: str, leaks: Sequence[Leak], training: Sequence[Question]) -> dict[str, Any]:
    own = [leak for leak in leaks if leak.source == source]
    kinds = {kind: [leak for leak in own if leak.kind == kind] for kind in KINDS}
    return {
        "training_questions": sum(q.source == source for q in training),
        "leaks": {kind: len(found) for kind, found in kinds.items()},
        "examples": {
            kind: [f"{leak.question_id} shows {leak.reference}" for leak in found[:5]]
            for kind, found in kinds.items()
            if found
        },
    }
