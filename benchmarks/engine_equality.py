"""Greedy completions of a real engine beside our own, after `make engine`: `python -m benchmarks.engine_equality`.

A random policy of head size 32; clips of 1 to 6 frames at three rates, prompts of five lengths, float32 on CPU.
"""

import sys
import tempfile
from pathlib import Path

from pipeline.engine.engine import Engine
from pipeline.engine.equality import completion_log_probabilities
from pipeline.models.generate import generate
from pipeline.models.sampling import Sampling
from tests.support.engine_policy import make_engine_policy, make_options
from tests.support.random_policy import ask, make_clip

WORDS = ["cup", "red", "blue", "first"]


def main(number: int, folder: Path) -> None:
    """Print how many are equal token by token, and the largest difference of a log-probability."""
    policy = make_engine_policy(folder / "policy", seed=3)
    clips = {f"c{i}": make_clip(i, frames=1 + i % 6, spacing=[0.5, 2.0, 0.37][i % 3]) for i in range(number)}
    prompts = [ask("what is taken ? " + " ".join(WORDS[: i % 5]), f"c{i}") for i in range(number)]
    greedy = Sampling(24, temperature=0.0)
    with Engine(make_options(folder / "room")) as engine:
        engine.load(Path(policy.folder), "0")
        theirs = [group[0] for group in engine.complete(policy, prompts, clips, greedy, 1, ["s"] * number)]
    ours = [group[0] for group in generate(policy, prompts, clips, greedy)]
    same = sum(a.token_ids == b.token_ids for a, b in zip(ours, theirs, strict=True))
    gaps = [
        abs(a - b)
        for messages, completion in zip(prompts, theirs, strict=True)
        for a, b in zip(
            completion_log_probabilities(policy, messages, clips, completion.token_ids),
            completion.log_probabilities or (),
            strict=True,
        )
    ]
    print(f"equal completions {same} of {number}; {len(gaps)} tokens, largest difference {max(gaps):.2g} nats")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 200, Path(scratch))
