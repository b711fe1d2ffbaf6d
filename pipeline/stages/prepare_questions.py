"""Stage prepare_questions: one Question for every usable annotation, with splits kept apart by recording."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pipeline.errors import ItemError
from pipeline.layout import ANNOTATIONS, CLIPS, PREPARED, PREPARED_QUESTIONS, VIDEOS, quarantine_of
from pipeline.params import Params, PrepareQuestions
from pipeline.questions.building import Plan, build_question
from pipeline.questions.distractors import AnswerPool
from pipeline.records import Annotation, Clip, Quarantined, Question, Split, Video, read_rows, write_rows
from pipeline.reports import StageReport
from pipeline.text.duplicates import near_duplicates
from pipeline.text.options import share_of

Videos = Mapping[str, Video]


def run(params: Params, root: Path, report: StageReport) -> None:
    """Fill `root/data/questions` from `root/data/raw`: questions.parquet, clips.parquet, quarantine.parquet."""
    settings = params.prepare_questions
    videos = {row.video_id: row for row in read_rows(root / VIDEOS, Video)}
    annotations = usable(read_rows(root / ANNOTATIONS, Annotation), videos, report)
    splits = splits_of(annotations, videos, settings, params.seed)
    split_of = {row.question_id: row.split or splits[videos[row.video_id].parent_video_id] for row in annotations}
    recordings = {video.video_id: video.parent_video_id for video in videos.values()}
    pool = AnswerPool(annotations, recordings, split_of, params.seed)
    questions = _built(annotations, videos, split_of, pool, params, report)
    for question in questions:
        report.count("question", "ok", source=question.source)
    # rows removed after this are not bad: they are removed by choice
    report.stop_if_too_bad("question", params.max_bad_fraction)
    questions = _without(questions, pool.guessable, "guessable_answer", report)
    questions = _without(questions, _repeats(questions, videos, settings), "near_duplicate", report)
    write_rows(root / CLIPS, clips_of(questions), Clip)
    write_rows(root / quarantine_of(PREPARED), report.quarantined, Quarantined)
    write_rows(root / PREPARED_QUESTIONS, questions, Question)


def usable(annotations: Iterable[Annotation], videos: Videos, report: StageReport) -> list[Annotation]:
    """Rows with a unique id and a video; of rows that share an id, the first stays."""
    kept: dict[str, Annotation] = {}
    for row in annotations:
        if row.question_id in kept:
            other = kept[row.question_id].source
            report.quarantine("question", row.question_id, "duplicate_id", f"also in {other}", row.source)
        elif row.video_id not in videos:
            report.quarantine("question", row.question_id, "no_video", f"{row.video_id} was not fetched", row.source)
        else:
            kept[row.question_id] = row
    return list(kept.values())


def splits_of(
    annotations: Iterable[Annotation], videos: Videos, settings: PrepareQuestions, seed: int
) -> dict[str, Split]:
    """The split of each recording (parent video) for the rows whose source leaves it open.

    If some source states a split for a recording, it applies (test before dev before train, so that evaluation data
    are never trained on). The others are assigned by a hash of the recording's id.
    """
    stated: dict[str, set[Split]] = {}
    for row in annotations:
        known = stated.setdefault(videos[row.video_id].parent_video_id, set())
        if row.split is not None:
            known.add(row.split)
    return {parent: _split(parent, known, settings, seed) for parent, known in stated.items()}


def _split(parent: str, stated: set[Split], settings: PrepareQuestions, seed: int) -> Split:
    order: tuple[Split, ...] = ("test", "dev", "train")
    for split in order:
        if split in stated:
            return split
    share = share_of(parent, seed)
    train = settings.splits.train
    return "train" if share < train else "dev" if share < train + settings.splits.dev else "test"


def _built(
    annotations: Sequence[Annotation],
    videos: Videos,
    split_of: Mapping[str, Split],
    pool: AnswerPool,
    params: Params,
    report: StageReport,
) -> list[Question]:
    shuffled = params.prepare_questions.shuffle_splits
    questions: list[Question] = []
    for row in annotations:
        split = split_of[row.question_id]
        try:
            plan = Plan(split, split in shuffled, params.seed, pool)
            questions.append(build_question(row, videos[row.video_id], plan))
        except ItemError as error:
            report.quarantine("question", row.question_id, error.reason, error.detail, row.source)
    return questions


def _without(
    questions: Sequence[Question], unwanted: Mapping[str, str], reason: str, report: StageReport
) -> list[Question]:
    """Drop the questions whose ids are in `unwanted`, which gives the reasons."""
    kept = []
    for question in questions:
        if question.question_id in unwanted:
            report.count("question", "ok", -1, question.source)
            report.quarantine("question", question.question_id, reason, unwanted[question.question_id], question.source)
        else:
            kept.append(question)
    return kept


def _repeats(questions: Sequence[Question], videos: Videos, settings: PrepareQuestions) -> dict[str, str]:
    """Training questions that repeat another one. Evaluation questions stay: a benchmark is never changed."""
    rule = settings.near_duplicates
    if rule is None:
        return {}
    train = [q for q in questions if q.split == "train"]
    groups = [videos[q.video_id].parent_video_id if rule.scope == "recording" else "" for q in train]
    repeats = near_duplicates([_compared(q) for q in train], groups, rule.similarity)
    return {train[index].question_id: f"repeats {train[other].question_id}" for index, other in repeats.items()}


def _compared(question: Question) -> str:
    truth = "" if question.answer is None else question.options[question.answer]
    return f"{question.question} {truth}"


def clips_of(questions: Iterable[Question]) -> list[Clip]:
    """The distinct spans that the questions are about, sorted by id."""
    clips = {
        q.clip_id: Clip(
            clip_id=q.clip_id, video_id=q.video_id, start_seconds=q.start_seconds, end_seconds=q.end_seconds
        )
        for q in questions
    }
    return [clips[key] for key in sorted(clips)]
