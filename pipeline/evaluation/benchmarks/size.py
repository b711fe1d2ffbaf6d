"""How much of a benchmark is asked, compared with what the benchmark's own files contain."""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import ArtifactError, StageError
from pipeline.evaluation.benchmarks.base import Benchmark
from pipeline.layout import QUARANTINE
from pipeline.records import Question


@dataclass(frozen=True)
class Whole:
    """Ids of all questions of a benchmark in its own order, and how many of them have a public answer; none if the
    benchmark has no fixed size."""

    ids: Sequence[str] = ()
    scorable: int = 0


def whole_of(benchmark: Benchmark, path: Path) -> Whole:
    """What the benchmark's own files contain, as `download_videos` recorded it in `path`.

    Raises:
        ArtifactError: the file is missing or damaged.
    """
    if benchmark.ids is None:
        return Whole()
    try:
        sources = list(json.loads(path.read_text(encoding="utf-8")).values())
        ids = [uid for source in sources for uid in source[benchmark.ids]]
        return Whole(ids, sum(len(source["answered"]) for source in sources))
    except (OSError, ValueError, AttributeError, KeyError, TypeError) as error:
        raise ArtifactError(f"{path} is missing or damaged ({error}): run `dvc repro download_videos`") from error


def stop_if_partial(
    benchmark: Benchmark, asked: Collection[Question], whole: Whole, max_missing_fraction: float
) -> None:
    """Stop before any model is loaded if too much of the benchmark is missing.

    Raises:
        StageError: a larger share than `max_missing_fraction` cannot be asked.
    """
    missing = sorted(set(whole.ids) - {question.question_id for question in asked})
    if missing and len(missing) / len(whole.ids) > max_missing_fraction:
        raise StageError(
            f"{len(asked)} of the {len(whole.ids)} questions of {benchmark.name} can be asked (missing: {missing[0]} "
            f"...; {QUARANTINE} says why): this would not be a score of the benchmark; get the videos, or accept a "
            "part with evaluate_egoschema.max_missing_fraction"
        )
