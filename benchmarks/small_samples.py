"""How honest the intervals are at few questions: `python -m benchmarks.small_samples [PREDICTIONS]`.

First a table of coverage: how often 95 % intervals of simulated comparisons hold the true gain, for the percentile
bootstrap (which this project used) and for `clustered_mean`. Then, with the predictions of a run, what the score of its
first 7, 20, 100 and all questions would have said.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.stats import bootstrap

from pipeline.comparison.compare import read_predictions
from pipeline.evaluation.runs import HEADLINE
from pipeline.evaluation.scores import IntervalSettings, by_run, gain
from pipeline.evaluation.statistics import clustered_mean, minimal_detectable_difference

SIZES = ((7, 5), (20, 10), (100, 40), (420, 140))  # questions, recordings
TRIALS, DRAWS = 500, 600


def percentile(values: np.ndarray, clusters: np.ndarray, seed: int) -> tuple[float, float]:
    """scipy's percentile bootstrap over recordings."""
    sums, sizes = np.bincount(clusters, values), np.bincount(clusters)
    if np.ptp(sums) == 0 and np.ptp(sizes) == 0:
        return float(values.mean()), float(values.mean())

    def mean(drawn: np.ndarray, of: np.ndarray, axis: int = -1) -> np.ndarray:
        return drawn.sum(axis) / of.sum(axis)

    found = bootstrap((sums, sizes), mean, paired=True, vectorized=True, n_resamples=DRAWS, method="percentile",
                      rng=np.random.default_rng(seed)).confidence_interval  # fmt: skip
    return float(found.low), float(found.high)


def bounded(values: np.ndarray, clusters: np.ndarray, seed: int) -> tuple[float, float]:
    """The interval of every score."""
    found = clustered_mean(values.tolist(), [str(c) for c in clusters], (-1, 1), 0.95, DRAWS, seed)
    return found.low, found.high


def rare(rng: np.random.Generator, of: np.ndarray) -> np.ndarray:
    """Hardly an answer changes: 3 % gained, 1 % lost."""
    drawn = rng.random(len(of))
    return (drawn < 0.03).astype(float) - (drawn > 0.99)


def common(rng: np.random.Generator, of: np.ndarray) -> np.ndarray:
    """A large gain that hangs on the recording."""
    skill = rng.random(of.max() + 1)[of]
    return (rng.random(len(of)) < 0.4 + 0.6 * skill).astype(float) - (rng.random(len(of)) < 0.35)


WORLDS: dict[str, tuple[Callable[[np.random.Generator, np.ndarray], np.ndarray], float]] = {
    "few flips, gain 2.0": (rare, 0.02),
    "many flips, gain 35.0": (common, 0.35),
}


def coverage() -> None:
    """Print the table of coverage and mean width."""
    print("| questions (recordings) | world | percentile: holds the truth, width | this project: holds it, width |")
    print("|---|---|---|---|")
    for questions, recordings in SIZES:
        for name, (draw, truth) in WORLDS.items():
            cells = []
            for interval in (percentile, bounded):
                rng, held, width = np.random.default_rng(0), 0, 0.0
                for trial in range(TRIALS):
                    of = np.concatenate([np.arange(recordings), rng.integers(0, recordings, questions - recordings)])
                    low, high = interval(draw(rng, of), of, trial)
                    held, width = held + (low <= truth <= high), width + high - low
                cells.append(f"{100 * held / TRIALS:.0f} %, {100 * width / TRIALS:.1f}")
            print(f"| {questions} ({recordings}) | {name} | {' | '.join(cells)} |")


def score_of_the_first(path: Path) -> None:
    """Print what the gain of the first questions of a run is."""
    runs = by_run(read_predictions(path))
    base, policy = runs["base", HEADLINE], runs["policy", HEADLINE]
    print(
        "\n| questions | gain | p | detectable | if nothing had flipped: gain | detectable |\n|---|---|---|---|---|---|"
    )
    for count, _ in SIZES:
        chosen = {p.question_id for p in policy[:count]}
        first, second = ([p for p in rows if p.question_id in chosen] for rows in (base, policy))
        intervals = IntervalSettings(0.95, 5000, 0)
        found, same = gain(first, second, intervals), gain(first, first, intervals)
        of = found.difference
        spans = [f"{100 * e.value:+.1f} [{100 * e.low:+.1f}, {100 * e.high:+.1f}]" for e in (of, same.difference)]
        differing = (found.gained + found.lost) / of.count
        shown = [minimal_detectable_difference(of.count, share) for share in (differing, 0.0)]
        texts = ["none" if d is None else f"{100 * d:.1f}" for d in shown]
        print(f"| {of.count} | {spans[0]} | {found.p_value:.2g} | {texts[0]} | {spans[1]} | {texts[1]} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("predictions", type=Path, nargs="?", help="a run's data/predictions/predictions.parquet")
    options = parser.parse_args()
    coverage()
    if options.predictions:
        score_of_the_first(options.predictions)
