"""A training run of seconds: a random policy, random clips, questions on them."""

import sys
from pathlib import Path
from typing import Any

import torch

from pipeline.grpo.clips import ClipLoader, feature_cache
from pipeline.grpo.run import TrainingRun, train
from pipeline.grpo.samples import Sample
from pipeline.params import Machine, Params, load_params
from pipeline.train_params import Stopping, TrainGrpo
from tests.support.random_policy import FakeClip, ask, make_clip, make_random_policy

ROOT = Path(__file__).resolve().parents[2]
SMALL: dict[str, Any] = {
    "max_steps": 6,
    "warmup_steps": 1,
    "prompts_per_step": 4,
    "num_generations": 4,
    "max_completion_length": 8,
    "learning_rate": 1e-2,
    "dev_every": 3,
    "save_steps": 1,
    "keep_checkpoints": 2,
    "device": "cpu",
}


class FakeStore:
    """Clips c0, c1 ...; odd ones have an odd number of frames."""

    def load(self, clip_id: str) -> FakeClip:
        return make_clip(int(clip_id[1:]), frames=4 + int(clip_id[1:]) % 2)


def small_params(**overrides: Any) -> Params:
    """params.yaml with a small train_grpo section; `overrides` are values of it, of `stopping` or of `machine`."""
    params = load_params(ROOT / "params.yaml")
    values = {**SMALL, **overrides}
    machine = {**params.machine.model_dump(), **{k: v for k, v in values.items() if k in Machine.model_fields}}
    stopping = {k: v for k, v in values.items() if k in Stopping.model_fields}
    settings = params.train_grpo.model_dump()
    settings |= {k: v for k, v in values.items() if k not in machine and k not in stopping}
    settings["stopping"] |= stopping
    return params.model_copy(
        update={"train_grpo": TrainGrpo.model_validate(settings), "machine": Machine.model_validate(machine)}
    )


def small_samples(number: int = 20) -> list[Sample]:
    """Questions of different lengths; several share a clip."""
    words = ["cup", "red", "blue"]
    return [
        Sample(
            question_id=f"q{i:02d}",
            clip_id=f"c{i % 7}",
            family="taken",
            messages=ask("what is taken ? " + " ".join(words[: i % 4]), f"c{i % 7}"),
            options=("cup", "red", "blue", "first", "taken"),
            answer=i % 5,
            key_seconds=(0.5, 1.0),
            key_targets=(0.5, 1.0),
            sigma_seconds=0.25,
        )
        for i in range(number)
    ]


def small_run(folder: Path, **overrides: Any) -> TrainingRun:
    """A run below `folder`."""
    samples, params, policy = small_samples(), small_params(**overrides), make_random_policy()
    return TrainingRun(
        params=params,
        policy=policy,
        train=samples[:14],
        dev=samples[14:],
        clips=ClipLoader(FakeStore(), 10),
        cache=feature_cache(policy, params.train_grpo, params.machine, folder / "vision"),
        hashes={"data/dataset/questions.parquet": "1"},
        checkpoints=folder / "checkpoints",
        live=folder / "live",
        output=folder / "policy",
    )


if __name__ == "__main__":
    torch.set_num_threads(1)
    train(small_run(Path(sys.argv[1])))
