"""A real engine beside our own rollout, prompt by prompt, after `make engine`.

`python -m benchmarks.engine_equality [NUMBER] [--project ROOT]`: greedy tokens of both, and the log-probabilities of
every token that the engine wrote, greedy or drawn, by its own account and by one forward of ours. Float32 on CPU.
ROOT is a project whose base is made (`dvc repro prepare_model`): its questions, frames and base are asked then.
Without it a random policy is, with clips of 1 to 6 frames at three rates and prompts of five lengths.
"""

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.engine.engine import Engine
from pipeline.engine.equality import completion_log_probabilities
from pipeline.engine.requests import Messages
from pipeline.models.clip_frames import ClipFrames
from pipeline.models.generate import Completion, generate
from pipeline.models.policy import Policy
from pipeline.models.sampling import Sampling
from pipeline.params import load_params
from pipeline.reports import StageReport
from pipeline.stages.train_grpo import read_run
from tests.support.engine_policy import make_engine_policy, make_options
from tests.support.random_policy import ask, make_clip

WORDS = ["cup", "red", "blue", "first"]
BATCH = 20  # prompts of one length in our own rollout; the engine gets all at once
TIE = 1e-4  # nats between two tokens, by our forward: below it their order is rounding


@dataclass(frozen=True)
class Trial:
    """What is asked of whom."""

    policy: Policy
    folder: Path
    prompts: Sequence[Messages]
    clips: Mapping[str, ClipFrames]
    new_tokens: int


def random_trial(number: int, folder: Path) -> Trial:
    """A random policy of head size 32."""
    policy = make_engine_policy(folder, seed=3)
    clips = {f"c{i}": make_clip(i, frames=1 + i % 6, spacing=[0.5, 2.0, 0.37][i % 3]) for i in range(number)}
    prompts = [ask("what is taken ? " + " ".join(WORDS[: i % 5]), f"c{i}") for i in range(number)]
    return Trial(policy, folder, prompts, clips, 24)


def project_trial(number: int, root: Path) -> Trial:
    """A project's base on questions that its training asks."""
    run = read_run(load_params(root / "params.yaml"), root, StageReport("train_grpo"))
    samples = [*run.dev, *run.train][:number]
    clips: dict[str, Any] = {sample.clip_id: run.clips.load(sample.clip_id) for sample in samples}
    prompts = [sample.messages for sample in samples]
    return Trial(run.policy, Path(run.policy.folder), prompts, clips, run.params.train_grpo.max_completion_length)


def compare_greedy(trial: Trial, theirs: Sequence[Completion]) -> None:
    """Print how many completions are equal, and for each other one how far apart the two tokens were for us."""
    prompts = trial.prompts
    ours = [
        group[0]
        for i in range(0, len(prompts), BATCH)
        for group in generate(trial.policy, prompts[i : i + BATCH], trial.clips, Sampling(trial.new_tokens, 0.0))
    ]
    other = [i for i, (a, b) in enumerate(zip(ours, theirs, strict=True)) if a.token_ids != b.token_ids]
    print(f"greedy: {len(prompts) - len(other)} of {len(prompts)} completions equal token by token")
    for i in other:
        place, gap = first_difference(trial, prompts[i], ours[i].token_ids, theirs[i].token_ids)
        kind = "a tie in float" if gap < TIE else "NOT a tie"
        print(f"  prompt {i}: they part at token {place}, {gap:.2g} nats apart by our forward: {kind}")


def first_difference(trial: Trial, messages: Messages, ours: Sequence[int], theirs: Sequence[int]) -> tuple[int, float]:
    """Where two completions part, and by how much our forward prefers our token there."""
    place = next((i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), min(len(ours), len(theirs)))
    if place == min(len(ours), len(theirs)):
        return place, float("inf")  # one goes on where the other ends
    ends = [ids[: place + 1] for ids in (ours, theirs)]
    mine, its = (completion_log_probabilities(trial.policy, messages, trial.clips, ids)[-1] for ids in ends)
    return place, mine - its


def compare_scores(trial: Trial, name: str, theirs: Sequence[Completion]) -> None:
    """Print the differences of the log-probabilities of all tokens."""
    gaps = sorted(
        abs(a - b)
        for messages, completion in zip(trial.prompts, theirs, strict=True)
        for a, b in zip(
            completion_log_probabilities(trial.policy, messages, trial.clips, completion.token_ids),
            completion.log_probabilities or (),
            strict=True,
        )
    )
    beyond = sum(gap > 1e-4 for gap in gaps)
    print(
        f"{name}: {len(gaps)} tokens, log-probabilities differ by {gaps[len(gaps) // 2]:.2g} nats (median), "
        f"{gaps[-1]:.2g} at most; {beyond} by more than 1e-4"
    )


def main(number: int, root: Path | None, scratch: Path) -> None:
    """Ask both and print the comparison."""
    trial = random_trial(number, scratch / "policy") if root is None else project_trial(number, root)
    seeds = [str(i) for i in range(len(trial.prompts))]
    with Engine(make_options(scratch / "room", max_model_len=4096)) as engine:
        engine.load(trial.folder, "0")
        greedy, drawn = (
            [group[0] for group in engine.complete(trial.policy, trial.prompts, trial.clips, sampling, 1, seeds)]
            for sampling in (Sampling(trial.new_tokens, 0.0), Sampling(trial.new_tokens, 1.0))
        )
    compare_greedy(trial, greedy)
    compare_scores(trial, "greedy", greedy)
    compare_scores(trial, "drawn at temperature 1", drawn)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("number", nargs="?", type=int, default=200)
    parser.add_argument("--project", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        main(given.number, given.project, Path(folder))
