"""The base is asked lazily, in the precision of training, and never twice."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.errors import EmptyInput
from pipeline.grpo import difficulty
from pipeline.grpo.difficulty import Asker, filter_by_difficulty
from pipeline.grpo.run import TrainingRun
from pipeline.grpo.sampler import order_of_pass
from pipeline.grpo.samples import Sample
from pipeline.models.generate import rollout
from pipeline.reports import StageReport
from tests.support.small_run import small_run, small_samples

SOMETIMES = {"samples": 4, "min_accuracy": 0.2, "max_accuracy": 0.8}


def asker_of(run: TrainingRun) -> Asker:
    prompt, settings = run.params.prompts.reasoning, run.params.train_grpo
    return Asker(run.params.seed, prompt, settings, run.policy, run.clips, run.cache, run.hashes)


class Known(Asker):
    """A base whose accuracy on question n is (n % 3) / 2: right never, sometimes, always. Notes what it was asked."""

    def __init__(self, folder: Path, **overrides: Any) -> None:
        run = small_run(folder, difficulty=SOMETIMES, **overrides)
        super().__init__(**vars(asker_of(run)))
        object.__setattr__(self, "asked", [])

    def ask(self, samples: Sequence[Sample]) -> dict[str, float]:
        self.asked.append([s.question_id for s in samples])  # type: ignore[attr-defined]
        return {s.question_id: int(s.question_id[1:]) % 3 / 2 for s in samples}


def asked(base: Known) -> list[str]:
    batches: list[list[str]] = base.asked  # type: ignore[attr-defined]
    return [name for batch in batches for name in batch]


def test_the_base_is_asked_in_a_drawn_order_until_the_steps_are_fed(tmp_path: Path) -> None:
    samples = small_samples(3000)
    base, report = Known(tmp_path, max_steps=8), StageReport("train_grpo")  # eight steps of four questions
    kept = filter_by_difficulty(base, samples, tmp_path / "d", report)
    order = [samples[i] for i in order_of_pass(3000, base.seed, 0)]
    assert kept == [s for s in order if int(s.question_id[1:]) % 3 == 1][:32]
    counts = report.outcomes["difficulty"]
    assert counts["kept"] == 32
    assert counts["not_asked"] == 3000 - len(asked(base))
    assert len(asked(base)) == counts["kept"] + counts["too_easy"] + counts["too_hard"] <= 3 * 32 + 12
    assert max(map(len, base.asked)) == 4  # type: ignore[attr-defined]  # as many completions as in a rollout: 16


def test_a_longer_run_or_a_killed_one_asks_only_for_the_rest(tmp_path: Path) -> None:
    samples = small_samples(300)
    first = Known(tmp_path, max_steps=4)
    short = filter_by_difficulty(first, samples, tmp_path / "d", StageReport("train_grpo"))
    (file,) = (tmp_path / "d").iterdir()
    before = file.read_bytes()
    with file.open("a") as torn:
        torn.write('\n{"question_id": "q')
    second = Known(tmp_path, max_steps=8)
    longer = filter_by_difficulty(second, samples, tmp_path / "d", StageReport("train_grpo"))
    assert longer[:16] == short
    assert not set(asked(first)) & set(asked(second))
    assert file.read_bytes().startswith(before)  # appended to, not rewritten
    third = Known(tmp_path, max_steps=8)
    assert filter_by_difficulty(third, samples, tmp_path / "d", StageReport("train_grpo")) == longer
    assert asked(third) == []


def test_if_too_few_questions_fit_all_are_asked_and_those_there_are_are_kept(tmp_path: Path) -> None:
    samples, base, report = small_samples(30), Known(tmp_path, max_steps=8), StageReport("train_grpo")
    kept = filter_by_difficulty(base, samples, tmp_path / "d", report)
    assert len(kept) == 10
    assert report.outcomes["difficulty"] == {"kept": 10, "too_easy": 10, "too_hard": 10, "not_asked": 0}
    with pytest.raises(EmptyInput, match=r"outside \[0.2, 0.8\] on all 2 questions"):
        filter_by_difficulty(base, [samples[0], samples[2]], tmp_path / "e", report)


def test_other_settings_have_answers_of_their_own(tmp_path: Path) -> None:
    names = {
        Known(tmp_path, **changes).answers_file(tmp_path).name
        for changes in ({}, {"max_steps": 9}, {"dtype": "bfloat16"}, {"temperature": 0.5}, {"max_completion_length": 3})
    }
    assert len(names) == 4  # how long the run is does not matter to an answer


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_base_answers_in_the_precision_of_training_with_shared_features(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: str
) -> None:
    run = small_run(tmp_path, difficulty={"samples": 4, "min_accuracy": 0.0, "max_accuracy": 1.0}, dtype=dtype)
    asker = asker_of(run)
    half: list[bool] = []

    def watched(*args: Any) -> Any:
        half.append(torch.is_autocast_enabled("cpu"))
        return rollout(*args)

    monkeypatch.setattr(difficulty, "rollout", watched)
    filter_by_difficulty(asker, run.train, tmp_path / "d", StageReport("train_grpo"))
    assert set(half) == {dtype == "bfloat16"}
    assert run.cache is not None and run.cache.held.misses <= 7  # clips
    (file,) = (tmp_path / "d").iterdir()
    rows = [json.loads(line) for line in file.read_text().split("\n") if line]
    assert {row["accuracy"] for row in rows} <= {0.0, 0.25, 0.5, 0.75, 1.0}
