"""Stage mine_keyframes: the moments of every clip that are worth asking about."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from pipeline.clips.incremental import Item, update_shards
from pipeline.clips.inputs import ClipInputs, count_clips
from pipeline.decode.decoding import decoder_version
from pipeline.frames.shards import SHARD_BYTES, Layout, Row, digest, read_bucket, write_manifest
from pipeline.keyframes.mining import FORMAT, SCHEMA, MiningSettings, MiningTask, mine
from pipeline.keyframes.recall import TOLERANCE_SECONDS, Truth, measure_recall, recall_by_spacing
from pipeline.keyframes.scorers import check_scorer, code_of
from pipeline.layout import KEYFRAMES, MINED, PREPARED_QUESTIONS
from pipeline.params import MineKeyframes, Params
from pipeline.records import Clip, Keyframe, Question, Video, read_rows, write_rows
from pipeline.reports import StageReport
from pipeline.work.items import workers_of

Questions = Mapping[str, Sequence[Question]]  # by clip id


def run(params: Params, root: Path, report: StageReport) -> None:
    """Bring `root/data/keyframes` up to date: shards of mined clips, keyframes.parquet, quarantine.parquet."""
    section, out = params.mine_keyframes, root / KEYFRAMES
    check_scorer(section.signal, section.plugins)  # report an unknown name now, not from every worker
    inputs = ClipInputs.read(root)
    questions = _by_clip(read_rows(root / PREPARED_QUESTIONS, Question))
    settings = {"format": FORMAT, **asdict(mining_settings(section)), "version": decoder_version("pyav")}
    if (code := code_of(section.signal)) is not None:
        settings["code"] = code
    seconds = params.machine.clip_seconds_limit
    items = [_item(*found, questions, section, settings, seconds) for found in inputs.usable()]
    layout = Layout(SCHEMA, params.extract_frames.shards, SHARD_BYTES)
    workers = workers_of(params.machine)
    outcome = update_shards(out, layout, items, mine, workers, "mine_keyframes")
    count_clips(report, inputs, outcome.failed, out)
    report.stop_if_too_bad("clip", params.max_bad_fraction)
    rows = sorted(_rows(out, layout), key=lambda row: str(row["item_id"]))
    keyframes = [keyframe for row in rows for keyframe in keyframes_of(row)]
    write_rows(root / MINED, keyframes, Keyframe)
    write_manifest(out, layout, settings)
    report.count("keyframe", "ok", len(keyframes))
    truths, frames = truths_by_source(rows, questions), params.extract_frames.frames_per_clip
    report.values["recall"] = {source: measure_recall(clips, TOLERANCE_SECONDS) for source, clips in truths.items()}
    report.values["recall_by_spacing"] = {source: recall_by_spacing(clips, frames) for source, clips in truths.items()}


def mining_settings(section: MineKeyframes) -> MiningSettings:
    """The part of the params that determines the candidates."""
    return MiningSettings(**{field.name: getattr(section, field.name) for field in fields(MiningSettings)})


def keyframes_of(row: Row) -> Iterator[Keyframe]:
    """A mined clip's candidates as records, best first."""
    columns = ("candidate_seconds", "candidate_scores", "candidate_events", "candidate_roles")
    for rank, (pts, score, event, role) in enumerate(zip(*(row[column] for column in columns), strict=True)):
        yield Keyframe(
            clip_id=row["item_id"],
            pts_seconds=pts,
            rank=rank,
            score=score,
            signal=row["signal"],
            event=event,
            role=role,
            event_start_seconds=row["event_start_seconds"][event] if event >= 0 else None,
            event_end_seconds=row["event_end_seconds"][event] if event >= 0 else None,
        )


def truths_by_source(rows: Sequence[Row], questions: Questions) -> dict[str, list[Truth]]:
    """Mined clips whose questions have key times, by the questions' source. Times that several questions share count
    once."""
    found: dict[str, list[Truth]] = defaultdict(list)
    for row in rows:
        asked = questions[row["item_id"]]
        times = {t for question in asked for t in question.keyframe_seconds or ()}
        if times:
            span = (row["start_seconds"], row["end_seconds"])
            found[asked[0].source].append(Truth(*span, tuple(sorted(times)), tuple(row["candidate_seconds"])))
    return dict(sorted(found.items()))


def _by_clip(questions: Sequence[Question]) -> Questions:
    by_clip: dict[str, list[Question]] = defaultdict(list)
    for question in sorted(questions, key=lambda question: question.question_id):
        by_clip[question.clip_id].append(question)
    return by_clip


def _item(
    clip: Clip,
    video: Video,
    path: Path,
    questions: Questions,
    section: MineKeyframes,
    settings: dict[str, Any],
    seconds_limit: float,
) -> Item:
    # Built-in signals read no questions, so their candidates do not depend on the texts.
    texts = tuple(q.question for q in questions[clip.clip_id]) if ":" in section.signal else ()
    span = (clip.start_seconds, clip.end_seconds)
    task = MiningTask(clip.video_id, path, *span, texts, mining_settings(section), seconds_limit)
    return Item(clip.clip_id, digest([settings, video.sha256, clip.model_dump(), texts]), task)


def _rows(folder: Path, layout: Layout) -> Iterator[Row]:
    for bucket in range(layout.buckets):
        for row in read_bucket(folder, bucket).values():
            yield {name: value for name, value in row.items() if name != "thumbnails"}
