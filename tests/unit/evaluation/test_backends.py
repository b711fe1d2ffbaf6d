"""The vLLM backend against a stand-in for the library: what it is given and what comes back. The library itself is not
run here."""

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pipeline.answers.prompts import build_messages
from pipeline.errors import ModelError
from pipeline.evaluation.backends import Request, VllmBackend
from pipeline.models.sampling import Sampling
from tests.support.random_policy import make_clip, make_tokenizer


class Engine:
    """Remembers its arguments; answers every prompt with a finished and a cut completion."""

    def __init__(self, **settings: Any) -> None:
        self.settings = settings

    def get_tokenizer(self) -> Any:
        return make_tokenizer()

    def generate(self, prompts: list[Any], sampling: list[Any]) -> list[Any]:
        self.asked = list(zip(prompts, sampling, strict=True))
        ended = SimpleNamespace(token_ids=[1, 2], text="<answer>B</answer>", finish_reason="stop")
        cut = SimpleNamespace(token_ids=[3], text="<answer>", finish_reason="length")
        return [SimpleNamespace(outputs=[ended, cut]) for _ in prompts]


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> VllmBackend:
    module = ModuleType("vllm")
    module.LLM = Engine  # type: ignore[attr-defined]
    module.SamplingParams = lambda **values: values  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "vllm", module)
    return VllmBackend("folder", "bfloat16")


def test_frames_go_in_as_they_are_and_completions_come_out(backend: VllmBackend) -> None:
    clip = make_clip(0, frames=4, spacing=0.5)
    requests = [
        Request(build_messages("what is taken ?", "a"), "a", clip),
        Request(build_messages("what is first ?", None), "", None),
    ]
    groups = backend.complete(requests, Sampling(7, 1.0), 2, ["s1", "s2"])
    (video, first), (text, second) = backend.engine.asked
    frames, metadata = video["multi_modal_data"]["video"]
    np.testing.assert_array_equal(frames, clip.images)
    assert metadata == {"fps": 2.0, "total_num_frames": 4, "do_sample_frames": False}
    assert video["prompt"].count("<|video_pad|>") == 1
    assert set(text) == {"prompt"}
    assert (first["n"], first["temperature"], first["max_tokens"], first["top_k"]) == (2, 1.0, 7, -1)
    assert first["seed"] != second["seed"]
    assert [[(c.text, c.finished) for c in group] for group in groups] == [
        [("<answer>B</answer>", True), ("<answer>", False)]
    ] * 2


def test_likelihood_is_not_for_vllm(backend: VllmBackend) -> None:
    with pytest.raises(ModelError, match="transformers"):
        backend.score([], [])


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(ModelError, match=r"egovlm\[vllm\]"):
        VllmBackend("folder", "bfloat16")
