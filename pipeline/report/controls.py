"""The controls of a run: what each view withholds, what both models score on it, and whether that score counts."""

from dataclasses import dataclass
from typing import Any

WITHHELD = {
    "blind": "no video",
    "shuffled": "another clip",
    "middle_frame": "middle frame only",
    "reversed": "frames reversed",
    "named_frames": "only the frames it named",
}
WAYS = {
    "reasoning": "free writing",
    "forced": "forced choice",
    "direct": "direct prompt",
    "likelihood": "option likelihood",
    "sampled": "sampled",
}


@dataclass(frozen=True)
class Score:
    """An accuracy as fractions with its interval, on `count` questions."""

    value: float
    low: float
    high: float
    count: int


@dataclass(frozen=True)
class Side:
    """One model under one control: accuracy by forced choice and in free writing, and the share of free completions
    without a readable answer. `valid`: that share is small enough for their accuracy to count."""

    forced: Score | None
    free: Score | None
    unreadable: float | None
    valid: bool

    @property
    def best(self) -> Score | None:
        """The accuracy that counts: by forced choice, else in free writing if it is valid."""
        return self.forced or (self.free if self.valid else None)


@dataclass(frozen=True)
class Control:
    """One view that withholds evidence, for both models."""

    label: str
    policy: Side
    base: Side


def score_of(details: dict[str, Any]) -> Score | None:
    """The accuracy in a run's details; None if there is none."""
    estimate = details.get("accuracy") or {}
    names = ("value", "low", "high", "count")
    return Score(**{name: estimate[name] for name in names}) if "value" in estimate else None


def control_rows(controls: dict[str, Any]) -> list[Control]:
    """The controls that were run, in the order of `WITHHELD`."""
    runs: dict[str, Any] = controls.get("runs", {})
    found = [
        Control(label, *(_side(runs, model, view) for model in ("policy", "base")))
        for view, label in WITHHELD.items()
        if any(run.endswith((f" reasoning/{view}", f" forced/{view}")) for run in runs)
    ]
    return [row for row in found if any(side.forced or side.free for side in (row.policy, row.base))]


def _side(runs: dict[str, Any], model: str, view: str) -> Side:
    free = runs.get(f"{model} reasoning/{view}", {})
    forced = score_of(runs.get(f"{model} forced/{view}", {}))
    return Side(forced, score_of(free), free.get("unparsed_fraction"), bool(free.get("valid", True)))


def label_of(run: str) -> str:
    """What a person calls a run or a rule that sees no evidence: `forced/blind` -> `no video, forced choice`."""
    mode, _, view = run.partition("/")
    return f"{WITHHELD[view]}, {WAYS.get(mode, mode)}" if view in WITHHELD else run


def invalid(controls: dict[str, Any]) -> list[str]:
    """Models and controls whose free writing does not count: `base: no video (90 % unreadable)`."""
    return [
        f"{row.label} ({model}, {100 * (side.unreadable or 0):.0f}\u00a0% unreadable)"
        for row in control_rows(controls)
        for model, side in (("policy", row.policy), ("base", row.base))
        if not side.valid
    ]
