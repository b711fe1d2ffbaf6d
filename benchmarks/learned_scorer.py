"""A learned scorer for the keyframe miner, as a worked example: a small temporal network that learns key times.

    python -m benchmarks.learned_scorer train    # on the train split of data/; writes tmp/learned_scorer.pt
    python -m benchmarks.learned_scorer judge    # on the test split: beside lk_affine, even spacing and random times

Then it is a plug-in like any other: `mine_keyframes.signal: benchmarks.learned_scorer:score`.

Each view is shrunk to 16 x 16 pixels and goes, with its change since the view before, through two convolutions. Two
convolutions over time follow, which see 1.2 s to either side. The target is a Gaussian around each true key time.
It needs a source with key times, knows only what it was trained on, and reads no question.
"""

import argparse
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import nn
from torch.nn import functional
from tqdm import tqdm

from pipeline.clips.inputs import ClipInputs
from pipeline.keyframes.mining import ANALYSIS_PIXELS, MiningTask, choose_moments, find_events
from pipeline.keyframes.recall import Truth, measure_recall
from pipeline.keyframes.scorers import load_scorer
from pipeline.keyframes.selection import rescale
from pipeline.keyframes.views import Floats, Views, make_views
from pipeline.layout import PREPARED_QUESTIONS
from pipeline.params import MineKeyframes, load_params
from pipeline.records import Question, read_rows
from pipeline.stages.mine_keyframes import mining_settings

WEIGHTS = Path("tmp/learned_scorer.pt")
ITSELF = "benchmarks.learned_scorer:score"
SIDE = 16  # pixels
TARGET_SECONDS = 0.15  # standard deviation of the target around a key time
EPOCHS, BATCH, RATE = 14, 8, 3e-3


class Network(nn.Module):
    """`[T, 6, 16, 16]` (a view and its change) to a logit per view, `[T]`."""

    def __init__(self) -> None:
        super().__init__()
        self.look = nn.Sequential(
            nn.Conv2d(6, 16, 3, 2, 1),
            nn.GELU(),
            nn.Conv2d(16, 24, 3, 2, 1),
            nn.GELU(),
            nn.Flatten(),
            nn.Linear(384, 32),
        )
        self.follow = nn.Sequential(
            nn.Conv1d(32, 32, 7, padding=3), nn.GELU(), nn.Conv1d(32, 32, 7, padding=6, dilation=2)
        )
        self.judge = nn.Conv1d(32, 1, 7, padding=3)

    def forward(self, views: torch.Tensor) -> torch.Tensor:
        along = functional.gelu(self.look(views)).T[None]
        return self.judge(functional.gelu(self.follow(along)))[0, 0]


def inputs_of(views: Views) -> torch.Tensor:
    """Views as `float32 [T, 6, 16, 16]`."""
    small = np.stack([cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for image in views.images])
    shown = torch.from_numpy(small).permute(0, 3, 1, 2).float() / 128 - 1
    return torch.cat([shown, 4 * torch.diff(shown, dim=0, prepend=shown[:1])], 1)


@cache
def _trained() -> Network:
    network = Network()
    network.load_state_dict(torch.load(WEIGHTS, weights_only=True))
    return network.eval()


def score(views: Views, questions: Sequence[str]) -> Floats:
    """The plug-in: how likely a key time is at each view, `float64 [T]` in [0, 1]."""
    torch.set_num_threads(1)  # clips run in parallel, not threads
    with torch.no_grad():
        return torch.sigmoid(_trained()(inputs_of(views))).double().numpy()


def known_clips(split: str) -> list[tuple[MiningTask, tuple[float, ...]]]:
    """Clips of a split with true key times."""
    section = load_params(Path("params.yaml")).mine_keyframes
    times: dict[str, set[float]] = defaultdict(set)
    splits: dict[str, str] = {}
    for question in read_rows(Path(PREPARED_QUESTIONS), Question):
        times[question.clip_id] |= set(question.keyframe_seconds or ())
        splits[question.clip_id] = question.split
    return [
        (_task(section, path, clip.start_seconds, clip.end_seconds), tuple(sorted(times[clip.clip_id])))
        for clip, _, path in ClipInputs.read(Path()).usable()
        if splits.get(clip.clip_id) == split and times[clip.clip_id]
    ]


def _task(section: MineKeyframes, path: Path, start: float, end: float) -> MiningTask:
    return MiningTask("clip", path, start, end, (), mining_settings(section), 120.0)


def views_of(task: MiningTask) -> Views:
    """The views that the miner sees."""
    settings = task.settings
    span = (task.start_seconds, task.end_seconds)
    return make_views(task.path, *span, settings.samples_per_second, ANALYSIS_PIXELS, task.seconds_limit)


def train() -> None:
    """Train on the train split and keep the weights; deterministic on one thread."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    examples = [_example(*known) for known in tqdm(known_clips("train"), desc="decode", unit="clip")]
    network, started = Network(), time.process_time()
    optimiser = torch.optim.AdamW(network.parameters(), RATE, weight_decay=0.01)
    steps = EPOCHS * (len(examples) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps)
    for _ in tqdm(range(steps), desc="train", unit="step"):
        chosen = torch.randint(len(examples), (BATCH,)).tolist()
        losses = [functional.binary_cross_entropy_with_logits(network(examples[i][0]), examples[i][1]) for i in chosen]
        optimiser.zero_grad()
        torch.stack(losses).mean().backward()
        optimiser.step()
        schedule.step()
    WEIGHTS.parent.mkdir(exist_ok=True)
    torch.save(network.state_dict(), WEIGHTS)
    print(f"{len(examples)} clips, {steps} steps, {time.process_time() - started:.0f} CPU s beyond decoding: {WEIGHTS}")


def _example(task: MiningTask, times: tuple[float, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    views = views_of(task)
    away = np.abs(views.pts_seconds[:, None] - np.array(times)[None]).min(1)
    return inputs_of(views), torch.from_numpy(np.exp(-((away / TARGET_SECONDS) ** 2) / 2)).float()


def judge(tolerance_seconds: float) -> None:
    """Recall on clips that it has not seen, as a Markdown table."""
    truths: dict[str, list[Truth]] = defaultdict(list)
    cost: dict[str, float] = defaultdict(float)
    for task, times in tqdm(known_clips("test"), desc="judge", unit="clip"):
        views = views_of(task)
        for signal in ("lk_affine", ITSELF):
            began = time.process_time()
            found = candidates(replace(task, settings=replace(task.settings, signal=signal)), views)
            cost[signal] += time.process_time() - began
            truths[signal].append(Truth(task.start_seconds, task.end_seconds, times, found))
    tables = {signal: measure_recall(known, tolerance_seconds) for signal, known in truths.items()}
    lines = {signal: table["by_count"] for signal, table in tables.items()}
    even = lines["lk_affine"]
    clips = tables["lk_affine"]["clips"]
    print(f"{clips} test clips, within {tolerance_seconds} s; lift over even spacing in points [95 %]\n")
    print("| candidates | " + " | ".join(str(line["candidates"]) for line in even) + " |")
    print("|---" * (len(even) + 1) + "|")
    for signal, by_count in lines.items():
        cells = [
            f"{x['mined']:.3f}, {100 * x['lift']:+.1f} [{100 * x['lift_low']:.1f}, {100 * x['lift_high']:.1f}]"
            for x in by_count
        ]
        print(f"| {signal} ({cost[signal] / clips:.3f} CPU s a clip beyond decoding) | " + " | ".join(cells) + " |")
    for name in ("even", "random"):
        print(f"| {name} | " + " | ".join(f"{x[name]:.3f}" for x in even) + " |")


def candidates(task: MiningTask, views: Views) -> tuple[float, ...]:
    """What `mine` would choose, best first."""
    curve = rescale(load_scorer(task.settings.signal)(views, task.questions))
    chosen, _ = choose_moments(curve, views, find_events(curve, views.pts_seconds), task)
    return tuple(views.pts_seconds[chosen].tolist())


def main() -> None:
    """Train, or judge what was trained."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=("train", "judge"))
    parser.add_argument("--tolerance-seconds", type=float, default=0.5)
    arguments = parser.parse_args()
    if arguments.verb == "train":
        train()
    else:
        judge(arguments.tolerance_seconds)


if __name__ == "__main__":
    main()
