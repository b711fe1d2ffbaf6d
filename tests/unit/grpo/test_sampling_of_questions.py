"""Which questions come when, and which give their place to others."""

from itertools import islice

import pytest

from pipeline.errors import ParamsError, StageError
from pipeline.grpo.config import make_config, questions_per_step
from pipeline.grpo.planning import Group, plan_groups
from pipeline.grpo.sampler import GroupSampler
from pipeline.grpo.samples import Sample
from pipeline.models.generate import Completion
from tests.support.small_run import small_params, small_samples


def test_groups_are_contiguous_and_repeated() -> None:
    order = list(GroupSampler(size=5, prompts=2, group=3, repeats=2, batches=4, seed=0))
    assert len(order) == 2 * 3 * 2 * 4
    for start in range(0, len(order), 12):
        batch = order[start : start + 12]
        assert batch[:6] == batch[6:]
        assert batch[0] == batch[1] == batch[2] != batch[3] == batch[4] == batch[5]


def test_every_pass_has_its_own_order_and_no_batch_a_question_twice() -> None:
    order = list(GroupSampler(size=6, prompts=3, group=1, repeats=1, batches=8, seed=0))
    passes = [order[i : i + 6] for i in range(0, len(order), 6)]
    assert all(sorted(p) == list(range(6)) for p in passes)
    assert len({tuple(p) for p in passes}) > 1
    assert order == list(GroupSampler(6, 3, 1, 1, 8, 0))
    assert order != list(GroupSampler(6, 3, 1, 1, 8, 1))


def test_a_longer_run_starts_like_a_shorter_one() -> None:
    short, long = (GroupSampler(7, 2, 4, 1, n, 3) for n in (5, 50))
    assert list(short) == list(islice(long, len(short)))


def test_too_few_questions_for_a_batch() -> None:
    with pytest.raises(StageError, match="3 training questions do not fill a batch of 4"):
        GroupSampler(3, 4, 2, 1, 1, 0)


def completions(sample: Sample, right: int, of: int = 4) -> list[Completion]:
    letters = ["ABCDE"[sample.answer]] * right + ["ABCDE"[(sample.answer + 1) % 5]] * (of - right)
    return [Completion((1,), f"<answer>{letter}</answer>", True) for letter in letters]


def test_only_informative_groups_replace_dull_ones() -> None:
    samples = small_samples()
    right = {"q00": 2, "q01": 0, "q02": 4, "q03": 0, "q04": 1, "q05": 4, "q06": 3}
    asked: list[str] = []

    def roll(batch: list[Sample]) -> list[list[Completion]]:
        asked.extend(s.question_id for s in batch)
        return [completions(s, right[s.question_id]) for s in batch]

    groups, replaced = plan_groups(samples[:3], samples[:7], 3, roll)
    assert [g.sample.question_id for g in groups] == ["q00", "q04", "q06"]
    assert sorted(g.sample.question_id for g in replaced) == ["q01", "q02", "q03", "q05"]
    assert asked == sorted(right)


def test_a_batch_keeps_its_size_when_nothing_better_is_found() -> None:
    samples = small_samples()
    groups, _ = plan_groups(samples[:3], samples, 2, lambda batch: [completions(s, 0) for s in batch])
    assert [g.sample.question_id for g in groups] == ["q00", "q01", "q02"]


def test_wrong_answers_in_different_forms_are_dull() -> None:
    sample = small_samples(1)[0]
    forms = [Completion((1,), text, True) for text in ("<answer>B</answer>", "B", "no idea", "")]
    assert not Group(sample, forms).informative


def test_no_rounds_means_no_replacement() -> None:
    samples = small_samples()
    groups, replaced = plan_groups(samples[:3], samples, 0, lambda batch: [completions(s, 0) for s in batch])
    assert (len(groups), replaced) == (3, [])


def test_a_batch_takes_what_there_is() -> None:
    settings = small_params(prompts_per_step=8, gradient_accumulation_steps=2).train_grpo
    assert [questions_per_step(settings, n) for n in (2, 3, 7, 8, 100)] == [2, 2, 6, 8, 8]
    with pytest.raises(ParamsError, match=r"1 training questions are too few for .* \(2\)"):
        questions_per_step(settings, 1)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            {"prompts_per_step": 4, "gradient_accumulation_steps": 3},
            r"prompts_per_step \(4\) must be a multiple of gradient_accumulation_steps x processes",
        ),
        (
            {"num_iterations": 2, "save_steps": 3},
            r"save_steps \(3\) must be a multiple of updates per batch of completions x num_iterations \(2\)",
        ),
        ({"device": "cuda"}, "torch sees no CUDA device"),
    ],
)
def test_params_that_cannot_work_say_why(overrides: dict[str, object], message: str, tmp_path: object) -> None:
    import torch

    if "device" in overrides and torch.cuda.is_available():
        pytest.skip("there is a CUDA device here")
    with pytest.raises(ParamsError, match=message):
        params = small_params(**overrides)
        make_config(params.train_grpo, params.machine, 0, tmp_path, questions=8)  # type: ignore[arg-type]
