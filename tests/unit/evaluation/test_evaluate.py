"""Questions to predictions with a random model: views, modes, batches, resuming."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.errors import ItemError
from pipeline.evaluation.backends import Request, TransformersBackend
from pipeline.evaluation.evaluate import evaluate_models, load_models
from pipeline.evaluation.predict import EvaluatedModel
from pipeline.evaluation.response_cache import ResponseCache
from pipeline.evaluation.runs import run_order
from pipeline.models.generate import Completion, generate
from pipeline.models.likelihood import continuation_log_probabilities
from pipeline.models.policy import Policy
from pipeline.models.sampling import Sampling
from pipeline.models.vision import FeatureCache
from pipeline.params import Prompts
from pipeline.records import Prediction
from tests.support.random_policy import ask, make_random_policy
from tests.unit.evaluation.making import load_clip, make_machine, make_question, make_settings

PROMPTS = Prompts(reasoning="{times} {question} {options} think", direct="{question} {options}")
QUESTIONS = [make_question(i) for i in range(6)]
PARENTS = {q.video_id: q.video_id for q in QUESTIONS}


class Scripted:
    """A backend that answers what it is told and remembers what it was shown."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.requests: list[Request] = []

    def complete(
        self, requests: Sequence[Request], sampling: Sampling, samples: int, seeds: Sequence[str]
    ) -> list[list[Completion]]:
        self.requests += requests
        return [[Completion((1, 2), self.text, True)] * samples for _ in requests]

    def score(self, requests: Sequence[Request], continuations: Sequence[Sequence[str]]) -> list[list[float]]:
        self.requests += requests
        return [[0.0, -1.0, -2.0, -3.0, -4.0] for _ in requests]


def evaluate(
    tmp_path: Path, backend: Any, questions: Any = QUESTIONS, load: Any = load_clip, **changes: Any
) -> list[Prediction]:
    models = [EvaluatedModel("policy", "digest", backend)]
    cache = ResponseCache(tmp_path / "cache")
    return evaluate_models(models, questions, PARENTS, load, cache, make_settings(**changes), PROMPTS, 0)


def of(predictions: list[Prediction], run: str) -> list[Prediction]:
    return [p for p in predictions if f"{p.mode}/{p.view}" == run]


def test_every_run_of_a_random_model_predicts_every_question(tmp_path: Path, tiny: Policy) -> None:
    backend = TransformersBackend(tiny, FeatureCache(tiny, 10))
    found = evaluate(tmp_path, backend, samples=2)
    counts = {run: len(of(found, run)) for run in make_settings().runs}
    named = counts.pop("reasoning/named_frames")
    assert named == counts.pop("forced/named_frames") <= 6
    assert counts == {
        "reasoning/video": 6, "sampled/video": 12, "direct/video": 6, "likelihood/video": 6, "reasoning/blind": 6,
        "reasoning/shuffled": 6, "reasoning/middle_frame": 6, "reasoning/reversed": 6, "likelihood/blind": 6,
        "reasoning/permuted": 24, "forced/video": 6, "forced/blind": 6, "forced/shuffled": 6,
        "forced/middle_frame": 6, "forced/reversed": 6, "forced/reordered": 6,
    }  # fmt: skip
    sums = [sum(p.option_probabilities or ()) for p in of(found, "likelihood/video")]
    assert sums == pytest.approx([1.0] * 6)


def test_batches_do_not_change_answers(tmp_path: Path, tiny: Policy) -> None:
    runs = ["reasoning/video", "sampled/video"]
    one = evaluate(tmp_path / "1", TransformersBackend(tiny, None), runs=runs, batch_size=1)
    six = evaluate(tmp_path / "6", TransformersBackend(tiny, FeatureCache(tiny, 10)), runs=runs, batch_size=6)
    assert one == six
    assert len({p.completion for p in of(one, "sampled/video")}) > 1


def test_views_show_what_they_say(tmp_path: Path) -> None:
    backend = Scripted("<keyframes>0.7, 1.8</keyframes><answer>B</answer>")
    runs = [
        "reasoning/video",
        *[f"reasoning/{v}" for v in ("blind", "shuffled", "middle_frame", "reversed", "named_frames")],
    ]
    found = evaluate(tmp_path, backend, runs=runs, batch_size=1)
    shown = {(p.view, p.question_id): r for p, r in zip(sorted_as_asked(found, runs), backend.requests, strict=True)}
    own = load_clip(QUESTIONS[0].clip_id)
    frames = {view: shown[view, "q0"].frames for view in ("video", "middle_frame", "reversed", "named_frames")}
    np.testing.assert_array_equal(frames["video"].images, own.images)
    np.testing.assert_array_equal(frames["middle_frame"].images, own.images[[2]])
    np.testing.assert_array_equal(frames["reversed"].images, own.images[::-1])
    np.testing.assert_array_equal(frames["reversed"].pts_seconds, own.pts_seconds)
    np.testing.assert_array_equal(frames["named_frames"].images, own.images[[1, 3]])
    assert shown["blind", "q0"].frames is None
    assert "video" not in str(shown["blind", "q0"].messages)
    assert shown["blind", "q0"].messages[0]["content"][-1] == shown["video", "q0"].messages[0]["content"][-1]


def sorted_as_asked(predictions: list[Prediction], runs: list[str]) -> list[Prediction]:
    """One question a batch, equally long texts: prompted in the order of runs and questions."""
    return [p for run in run_order(runs) for p in of(predictions, run)]


def test_controls_are_asked_of_a_sample_that_grows_with_its_size(tmp_path: Path) -> None:
    runs = ["reasoning/video", "reasoning/blind", "reasoning/permuted"]
    drawn = {}
    for size in (2, 4):
        found = evaluate(tmp_path / str(size), Scripted("A"), runs=runs, control_questions=size)
        assert len(of(found, "reasoning/video")) == 6
        drawn[size] = {p.question_id for p in of(found, "reasoning/blind")}
        assert drawn[size] == {p.question_id for p in of(found, "reasoning/permuted")}
        assert len(drawn[size]) == size
    assert drawn[2] < drawn[4]


def test_shuffled_clips_come_from_other_recordings(tmp_path: Path) -> None:
    found = evaluate(tmp_path, Scripted("A"), runs=["reasoning/video", "reasoning/shuffled"])
    assert all(
        p.seen_clip_id and not p.seen_clip_id.startswith(f"{p.video_id}@") for p in of(found, "reasoning/shuffled")
    )
    alone = evaluate(tmp_path, Scripted("A"), questions=QUESTIONS[:2], runs=["reasoning/video", "reasoning/shuffled"])
    assert of(alone, "reasoning/shuffled") == []


def test_permuted_options_are_translated_back(tmp_path: Path) -> None:
    """The scripted model always takes the first letter: every order gives another option of the question."""
    found = of(
        evaluate(tmp_path, Scripted("A"), runs=["reasoning/video", "likelihood/permuted"]), "likelihood/permuted"
    )
    first = [p for p in found if p.question_id == "q0"]
    assert [(p.option_order, p.option) for p in first] == [
        ((1, 2, 3, 4, 0), 1), ((2, 3, 4, 0, 1), 2), ((3, 4, 0, 1, 2), 3), ((4, 0, 1, 2, 3), 4)
    ]  # fmt: skip
    for prediction in first:
        assert prediction.option_probabilities is not None
        assert int(np.argmax(prediction.option_probabilities)) == prediction.option


def test_a_forced_choice_goes_on_from_the_views_own_thinking(tmp_path: Path) -> None:
    """The completion names no option; scores fall by letter, so A is chosen behind its thinking."""
    backend = Scripted("<think>a red cup</think> I cannot say.")
    runs = ["reasoning/video", "reasoning/blind", "forced/video", "forced/blind"]
    found = evaluate(tmp_path, backend, runs=runs)
    assert {p.outcome for p in of(found, "reasoning/blind")} == {"missing"}
    assert {(p.option, p.outcome) for p in of(found, "forced/blind")} == {(0, "scored")}
    forced = [r for r in backend.requests if r.begun]  # the order of runs: blind, video
    assert {r.begun for r in forced} == {"<think>a red cup</think>"}
    assert [r.frames is None for r in forced] == [True] * 6 + [False] * 6
    assert forced[0].messages[0]["content"][0]["text"].endswith("think")


def test_a_letter_that_was_written_needs_no_second_asking(tmp_path: Path) -> None:
    backend = Scripted("<think>a red cup</think><answer>B</answer>")
    (given, *_) = found = evaluate(tmp_path, backend, runs=["reasoning/video", "forced/video"])
    assert len(backend.requests) == 6
    forced = of(found, "forced/video")
    assert {(p.option, p.outcome, p.completion) for p in forced} == {(1, "scored", "")}
    assert forced[0].frame_seconds == given.frame_seconds


def test_what_a_greedy_completion_wrote_is_the_likeliest_letter() -> None:
    """Scored behind its own beginning, with models that write anything: only the letters are compared."""
    written = 0
    for seed in range(3):
        policy = make_random_policy(seed)
        for question in ("what is taken ?", "is blue ?", "is red A ?", "think"):
            prompts = [ask(question)]
            text = generate(policy, prompts, {}, Sampling(30, 0.0))[0][0].text
            letter = next((word for word in text.split() if word in "ABCDE"), None)
            if letter is not None:
                begun = [text[: text.index(letter)]]
                (scores,) = continuation_log_probabilities(policy, prompts, {}, [list("ABCDE")], None, begun)
                assert "ABCDE"[int(np.argmax(scores))] == letter
                written += 1
    assert written >= 6


def test_asked_again_the_options_stand_in_another_order(tmp_path: Path) -> None:
    """The scripted model takes letter A: of another option than it stood for before."""
    backend = Scripted("<think>so red A</think><answer>A</answer>")
    found = evaluate(tmp_path, backend, runs=["reasoning/video", "forced/reordered"])
    asked = of(found, "forced/reordered")
    assert all(p.option == p.option_order[0] != 0 for p in asked)
    assert len({p.option_order for p in asked}) > 1
    assert {r.begun for r in backend.requests if r.begun} == {"<think>so red"}


def test_a_forced_choice_needs_the_completions_it_goes_on_from() -> None:
    with pytest.raises(ValueError, match="forced/blind goes on from the completions of reasoning/blind"):
        make_settings(runs=["reasoning/video", "forced/blind"])


def test_named_times_are_of_the_video_file(tmp_path: Path) -> None:
    question = make_question(0, start_seconds=0.25)
    backend = Scripted("<keyframes>0.5</keyframes><answer>B</answer>")
    (prediction,) = evaluate(tmp_path, backend, questions=[question], runs=["reasoning/video"])
    assert prediction.keyframe_seconds == (0.75,)
    assert prediction.keyframe_frames == (1,)


def test_a_question_that_cannot_be_put_is_answered_by_nobody(tmp_path: Path) -> None:
    def load(clip_id: str) -> Any:
        if clip_id == QUESTIONS[2].clip_id:
            raise ItemError("no_frames", clip_id)
        return load_clip(clip_id)

    found = evaluate(tmp_path, Scripted("<answer>A</answer>"), load=load, runs=["reasoning/video"])
    assert [p.outcome for p in found] == [
        "tagged",
        "tagged",
        "failed_no_frames",
        "failed_no_frames",
        "tagged",
        "tagged",
    ]
    assert not found[2].correct


def test_one_long_prompt_does_not_take_its_batch_with_it(tmp_path: Path, tiny: Policy) -> None:
    questions = [*QUESTIONS[:3], make_question(9, video_id="v0", question="what " * 600)]
    found = evaluate(tmp_path, TransformersBackend(tiny, None), questions=questions, runs=["reasoning/video"])
    assert [p.outcome == "failed_prompt_too_long" for p in found] == [False, False, False, True]


def test_a_batch_too_large_for_the_gpu_is_asked_in_halves(tmp_path: Path) -> None:
    class Small(Scripted):
        def complete(self, requests: Any, sampling: Any, samples: int, seeds: Any) -> Any:
            if len(requests) > 2:
                raise torch.OutOfMemoryError
            return super().complete(requests, sampling, samples, seeds)

    backend = Small("A")
    assert len(evaluate(tmp_path, backend, runs=["reasoning/video"], batch_size=6)) == 6
    assert len(backend.requests) == 6


def test_an_interrupted_evaluation_goes_on_where_it_stopped(tmp_path: Path) -> None:
    class Interrupted(Scripted):
        def complete(self, requests: Any, sampling: Any, samples: int, seeds: Any) -> Any:
            if len(self.requests) == 4:
                raise KeyboardInterrupt
            return super().complete(requests, sampling, samples, seeds)

    runs, expected = (
        ["reasoning/video"],
        evaluate(tmp_path / "whole", Scripted("A"), runs=["reasoning/video"], batch_size=2),
    )
    first, second = Interrupted("A"), Scripted("A")
    with pytest.raises(KeyboardInterrupt):
        evaluate(tmp_path, first, runs=runs, batch_size=2)
    assert evaluate(tmp_path, second, runs=runs, batch_size=2) == expected
    assert (len(first.requests), len(second.requests)) == (4, 2)


@pytest.mark.parametrize("changed", ["frames", "prompt", "decoding"])
def test_kept_answers_are_of_this_very_question(tmp_path: Path, changed: str) -> None:
    evaluate(tmp_path, Scripted("A"), runs=["reasoning/video"])
    again = Scripted("B")
    settings: dict[str, Any] = {"runs": ["reasoning/video"]}
    if changed == "decoding":
        settings["max_new_tokens"] = 13
    questions = [make_question(i, question="what is first ?") for i in range(6)] if changed == "prompt" else QUESTIONS
    load = (lambda clip_id: load_clip(clip_id + "x")) if changed == "frames" else load_clip
    assert {p.option for p in evaluate(tmp_path, again, questions, load, **settings)} == {1}
    assert len(again.requests) == 6


def test_torn_cache_files_are_made_again(tmp_path: Path) -> None:
    evaluate(tmp_path, Scripted("A"), runs=["reasoning/video"])
    for path in (tmp_path / "cache").iterdir():
        path.write_text(path.read_text()[:-7])
    again = Scripted("B")
    assert {p.option for p in evaluate(tmp_path, again, runs=["reasoning/video"])} == {1}


def test_models_with_one_vision_tower_share_features(tiny_folder: Path, tmp_path: Path) -> None:
    pair = load_models({"base": tiny_folder, "policy": tiny_folder}, make_settings(), make_machine(), tmp_path)
    backends = [model.backend for model in pair]
    assert all(isinstance(b, TransformersBackend) for b in backends)
    assert backends[0].cache is backends[1].cache
    assert pair[0].digest == pair[1].digest
