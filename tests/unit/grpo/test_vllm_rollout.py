"""Requests to vLLM, against a stand-in for the engine (vLLM itself needs a GPU)."""

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from pipeline.grpo.vllm_rollout import VllmRollout
from tests.support.random_policy import make_clip, make_random_policy
from tests.support.small_run import small_params, small_samples


class FakeSampling:
    def __init__(self, **kwargs: Any) -> None:
        self.__dict__.update(kwargs)


class FakeEngine:
    """Answers every request with its own first tokens; counts resets."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.resets = 0
        self.llm_engine = SimpleNamespace(reset_mm_cache=self._reset)

    def _reset(self) -> None:
        self.resets += 1

    def generate(self, requests: list[Any], sampling: list[FakeSampling], use_tqdm: bool) -> list[Any]:
        self.requests = requests
        return [SimpleNamespace(outputs=[SimpleNamespace(token_ids=(9, 2))] * s.n) for s in sampling]


@pytest.fixture
def trainer(monkeypatch: pytest.MonkeyPatch) -> Any:
    module = ModuleType("vllm")
    module.SamplingParams = FakeSampling  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "vllm", module)
    syncs: list[int] = []
    state = SimpleNamespace(global_step=0)
    generation = SimpleNamespace(llm=FakeEngine(), sync_weights=lambda: syncs.append(state.global_step))
    settings = small_params(freeze_vision=False).train_grpo
    return SimpleNamespace(
        policy=make_random_policy(), settings=settings, state=state, vllm_generation=generation, syncs=syncs
    )


def test_requests_carry_frames_and_their_rate(trainer: Any) -> None:
    samples = small_samples(2)
    clips = [make_clip(0), make_clip(1, spacing=2.0)]
    groups = VllmRollout(trainer).complete(samples, clips, ["a", "b"])
    requests = trainer.vllm_generation.llm.requests
    assert [r["prompt"].count("<|video_pad|>") for r in requests] == [1, 1]
    assert [r["mm_processor_kwargs"]["fps"] for r in requests] == [2.0, 0.5]
    assert all((r["multi_modal_data"]["video"] == c.images).all() for r, c in zip(requests, clips, strict=True))
    assert [len(g) for g in groups] == [4, 4]
    assert groups[0][0].finished


def test_weights_are_sent_once_per_step_and_old_features_dropped(trainer: Any) -> None:
    rollout = VllmRollout(trainer)
    for step in (0, 0, 1):
        trainer.state.global_step = step
        rollout.complete(small_samples(1), [make_clip(0)], ["a"])
    assert trainer.syncs == [0, 1]
    assert trainer.vllm_generation.llm.resets == 2
