"""What policies earn that play the rewards instead of watching: the reward-hacking table.

    python benchmarks/rewards.py            # 400 made-up questions: 60 s, 16 frames, two to four key times
    python benchmarks/rewards.py --data     # the training questions in data/ (after `dvc repro validate_dataset`)

Rows are what a policy writes, columns the mean of each reward; `total` is the weighted sum of params.yaml. The file
`tests/unit/grpo/test_rewards.py` holds the same rows to bounds.
"""

import argparse
import random
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from pipeline.answers.keyframes import soft_f1  # noqa: E402
from pipeline.answers.thinking import has_thinking, reopen_undecided, reorder  # noqa: E402
from pipeline.frames.store import FrameStore  # noqa: E402
from pipeline.grpo.rewards import REWARDS, rewards_in_use, score_all  # noqa: E402
from pipeline.grpo.rewards.rollout import Rollout  # noqa: E402
from pipeline.grpo.samples import Sample, build_sample, gold_completion, group_by_clip  # noqa: E402
from pipeline.params import load_params  # noqa: E402
from pipeline.records import LETTERS, Keyframe, Question, read_rows  # noqa: E402
from pipeline.train_params import RewardSettings  # noqa: E402


@dataclass(frozen=True)
class Case:
    """A sample and the times of its clip's frames, in seconds from the clip's start."""

    sample: Sample
    frames: Sequence[float]

    @property
    def letter(self) -> str:
        """The right one."""
        return LETTERS[self.sample.answer]

    @property
    def seconds(self) -> float:
        """Length of the clip, as its frames show it."""
        return self.frames[0] + self.frames[-1]


def write(answer: str, times: Sequence[float] | None) -> str:
    """A completion in the asked form; None leaves the key times out."""
    listed = "" if times is None else f"<keyframes>{', '.join(f'{t:.1f}' for t in times)}</keyframes>"
    return f"<think>The cup is taken.</think>{listed}<answer>{answer}</answer>"


def _raw(case: Case, times: str) -> str:
    return f"<think>So.</think><keyframes>{times}</keyframes><answer>{case.letter}</answer>"


def _spread(case: Case, number: int) -> list[float]:
    return [case.seconds * (2 * i + 1) / (2 * number) for i in range(number)]


def _random(case: Case, rng: random.Random) -> list[float]:
    return [rng.uniform(0, case.seconds) for _ in range(3)]


def _true(case: Case) -> str:
    return ", ".join(f"{t:.3f}" for t in case.sample.key_seconds)


def _thinking(case: Case, thought: str, letter: str | None = None) -> str:
    """True times and, unless `letter` says otherwise, the right answer, behind any thinking."""
    return f"<think>{thought}</think><keyframes>{_true(case)}</keyframes><answer>{letter or case.letter}</answer>"


def _other(case: Case) -> str:
    return case.sample.options[(case.sample.answer + 1) % len(case.sample.options)]


Player = Callable[[Case, random.Random], str]

# Answers by chance or not at all, then answers that are right beside key times that were not looked up.
PLAYERS: dict[str, Player] = {
    "gold": lambda c, _: gold_completion(c.sample),
    "empty": lambda c, _: "",
    "constant A, middle": lambda c, _: write("A", [c.seconds / 2]),
    "random letter and times": lambda c, r: write(r.choice(LETTERS[: len(c.sample.options)]), _random(c, r)),
    "format only": lambda c, _: write("none", []),
    "all letters": lambda c, _: write("A, B, C, D or E", [c.seconds / 2]),
    "wrong, true times": lambda c, _: gold_completion(
        replace(c.sample, answer=(c.sample.answer + 1) % len(c.sample.options))
    ),
    "right, no times": lambda c, _: write(c.letter, None),
    "right, empty list": lambda c, _: write(c.letter, []),
    "right, middle": lambda c, _: write(c.letter, [c.seconds / 2]),
    "right, random times": lambda c, r: write(c.letter, _random(c, r)),
    "right, 3 uniform": lambda c, _: write(c.letter, _spread(c, 3)),
    "right, 4 uniform": lambda c, _: write(c.letter, _spread(c, 4)),
    "right, all frames": lambda c, _: write(c.letter, c.frames),
    "right, a thousand": lambda c, _: write(c.letter, [c.seconds * i / 1000 for i in range(1000)]),
    "right, one true time x4": lambda c, _: write(c.letter, [c.sample.key_seconds[0]] * 4),
    "right, nan": lambda c, _: _raw(c, "nan, " + _true(c)),
    "right, inf": lambda c, _: _raw(c, "inf"),
    "right, negative": lambda c, _: _raw(c, "-" + _true(c)),
    "right, huge": lambda c, _: _raw(c, "9" * 400),
    "right, exponents": lambda c, _: _raw(c, ", ".join(f"{t:e}" for t in c.sample.key_seconds)),
    "right, two lists": lambda c, _: (
        f"<think>So.</think><keyframes>1.0</keyframes><keyframes>{_true(c)}</keyframes><answer>{c.letter}</answer>"
    ),
    "right, list in answer": lambda c, _: (
        f"<think>So.</think><answer>{c.letter}<keyframes>{_true(c)}</keyframes></answer>"
    ),
    "right, list after answer": lambda c, _: (
        f"<think>So.</think><answer>{c.letter}</answer><keyframes>{_true(c)}</keyframes>"
    ),
    "right, no thinking": lambda c, _: _thinking(c, ""),
    "right, its letter for a thinking": lambda c, _: _thinking(c, c.letter),
    "right, points at its letter": lambda c, _: _thinking(c, f"It is option {c.letter}, so it fits."),
    "right, any thinking": lambda c, _: _thinking(c, "I watched all frames with care."),
    "right, thinks of another": lambda c, _: _thinking(c, f"So {_other(c)}."),
    "right, lists every option": lambda c, _: _thinking(c, ", ".join(c.sample.options)),
    "wrong, thinks right": lambda c, _: _thinking(c, c.sample.options[c.sample.answer], "BCDEA"[c.sample.answer]),
    "right, thinks right": lambda c, _: _thinking(c, f"So {c.sample.options[c.sample.answer]}."),
    "right, list in thinking": lambda c, _: (
        f"<think>So <keyframes>{_true(c)}</keyframes></think><answer>{c.letter}</answer>"
    ),
}


def reasked(text: str, case: Case) -> bool:
    """Whether a model that does what the thinking says, and no more, chooses the right option when asked again.

    It takes the option that the thinking names by its words, else the letter it names, else the first.
    """
    options = case.sample.options
    order = reorder(len(options), case.sample.question_id)
    kept = reopen_undecided(text).text
    named = [i for i, option in enumerate(options) if option in kept]
    letters = [order[LETTERS.index(letter)] for letter in re.findall(r"\boption ([A-E])\b", kept)]
    chosen = [*named, *letters, order[0]][0]
    return has_thinking(text) and chosen == case.sample.answer


def mean_rewards(player: Player, cases: Sequence[Case], settings: RewardSettings) -> dict[str, float]:
    """Mean of every reward over the cases; only gold's groups are better on ordered frames than on shuffled ones."""
    rng = random.Random(1)
    watches = player is PLAYERS["gold"]
    rollouts = []
    for case in cases:
        text = player(case, rng)
        tokens = settings.length_min_tokens if watches else max(1, len(text) // 4)
        again = watches or reasked(text, case)
        ordered, shuffled = (1.0, 0.0) if watches else (0.5, 0.5)
        rollouts.append(Rollout(text, tokens, True, case.sample, settings, ordered, shuffled, again))
    return {name: sum(score_all(name, rollouts)) / len(cases) for name in REWARDS}


def best_constant(cases: Sequence[Case], max_count: int) -> tuple[list[float], float]:
    """The best list of clip fractions that never looks at the video, found greedily, and its mean key-time F1: the most
    that position alone gives away in this data."""
    grid = [(i + 0.5) / 24 for i in range(24)]

    def value(fractions: Sequence[float]) -> float:
        scores = [
            soft_f1([f * c.seconds for f in fractions], c.sample.key_seconds, c.sample.sigma_seconds, max_count)
            for c in cases
        ]
        return sum(scores) / len(scores)

    best = max(([a] for a in grid), key=value)
    best = max([best, *([a, b] for a, b in product(grid, grid) if a < b)], key=value)
    while len(best) < max_count:
        longer = max(([*best, f] for f in grid), key=value)
        if value(longer) <= value(best):
            break
        best = longer
    return best, value(best)


def made_up_cases(number: int, settings: RewardSettings) -> list[Case]:
    """Questions on clips of 60 s shown in 16 frames (3.75 s apart), with two to four key times anywhere."""
    rng = random.Random(0)
    frames = [60 * (2 * i + 1) / 32 for i in range(16)]
    return [
        Case(
            Sample(
                question_id=f"q{i}",
                clip_id="clip",
                family="taken",
                messages=[],
                options=("a cup", "a red one", "a blue one", "the first", "the second"),
                answer=i % 5,
                key_seconds=(times := tuple(sorted(rng.uniform(0, 60) for _ in range(rng.randint(2, 4))))),
                key_targets=times,
                sigma_seconds=settings.keyframe_sigma_spacings * 3.75,
            ),
            frames,
        )
        for i in range(number)
    ]


def cases_of_data(root: Path, split: str) -> list[Case]:
    """The questions of a split in data/."""
    params = load_params(root / "params.yaml")
    store = FrameStore(root / "data/frames")
    mined = group_by_clip(read_rows(root / "data/keyframes/keyframes.parquet", Keyframe))
    cases = []
    for question in read_rows(root / "data/dataset/questions.parquet", Question):
        if question.split == split and question.answer is not None:
            pts = store.pts_seconds(question.clip_id).tolist()
            candidates = mined.get(question.clip_id, [])
            sample = build_sample(question, pts, candidates, "", params.train_grpo.reward_settings)
            cases.append(Case(sample, [t - question.start_seconds for t in pts]))
    return [case for case in cases if case.sample.key_seconds]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", action="store_true", help="the questions in data/ instead of made-up ones")
    parser.add_argument("--split", default="train")
    arguments = parser.parse_args()
    settings = load_params(ROOT / "params.yaml").train_grpo
    cases = cases_of_data(ROOT, arguments.split) if arguments.data else made_up_cases(400, settings.reward_settings)
    weights = rewards_in_use(settings.rewards)
    print(f"{len(cases)} questions; total = {' + '.join(f'{w} {n}' for n, w in weights.items())}\n")
    print("| policy | " + " | ".join(REWARDS) + " | total |\n" + "|---" * (len(REWARDS) + 2) + "|")
    for name, player in PLAYERS.items():
        means = mean_rewards(player, cases, settings.reward_settings)
        total = sum(weight * means[reward] for reward, weight in weights.items())
        print(f"| {name} | " + " | ".join(f"{means[r]:.2f}" for r in REWARDS) + f" | {total:.2f} |")
    fractions, value = best_constant(cases[:200], settings.reward_settings.keyframe_max_count)
    shown = ", ".join(f"{f:.2f}" for f in fractions)
    print(f"\nbest list that never looks (fractions of the clip: {shown}): keyframe {value:.2f} beside right answers")


if __name__ == "__main__":
    main()
