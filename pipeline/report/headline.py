"""The run's result in one sentence and one chart, and how to interpret it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pipeline.report.controls import WITHHELD, Score, control_rows, invalid, label_of, score_of
from pipeline.reports import scored_of

ASKED = {
    "reasoning/video": "reasoning prompt",
    "sampled/video": "reasoning prompt, sampled",
    "direct/video": "direct prompt",
    "likelihood/video": "option likelihood",
    "forced/video": "reasoning prompt, forced choice",
    "reasoning/permuted": "options in every order",
    "likelihood/permuted": "option likelihood, every order",
}
MOST_MISTAKES, FEW_MISTAKES = 2 / 3, 10  # from which part, and of how many, mistakes in one family are a caution


@dataclass(frozen=True)
class Line:
    """A line of the chart: one way of asking, both models (None: not asked)."""

    label: str
    is_control: bool
    policy: Score | None
    base: Score | None


def lines(controls: dict[str, Any]) -> list[Line]:
    """Every way of asking, the headline first; then the controls, one line each, as far as they count."""
    runs: dict[str, Any] = controls.get("runs", {})
    names = {run.partition(" ")[2] for run in runs} - {"forced/reordered"}  # asked for agreement, not for a score
    shown = [name for name in names if not name.endswith(tuple(f"/{view}" for view in WITHHELD))]
    order = sorted(shown, key=lambda name: (list(ASKED).index(name) if name in ASKED else 99, name))
    found = [
        Line(ASKED.get(name, name), False, *(score_of(runs.get(f"{m} {name}", {})) for m in ("policy", "base")))
        for name in order
    ]
    found += [Line(row.label, True, row.policy.best, row.base.best) for row in control_rows(controls)]
    return [line for line in found if line.policy or line.base]


def percent(value: float | None) -> str:
    """0.7414 -> `74.1 %`, with a space that does not break."""
    return "–" if value is None else f"{100 * value:.1f}\u00a0%"


def points(value: float) -> str:
    """A difference of fractions in percentage points, with its sign."""
    return f"{100 * value:+.1f}"


def mistakes(family: dict[str, Any]) -> int:
    """How many of a family's questions were answered wrong."""
    return round((1 - float(family["value"])) * int(family["count"]))


def worst_family(controls: dict[str, Any]) -> tuple[str, int, int] | None:
    """(family, its mistakes, all mistakes) of the family that holds most of the policy's mistakes; None without two
    families or without a mistake."""
    found: dict[str, Any] = controls.get("runs", {}).get("policy reasoning/video", {}).get("families", {})
    wrong = {name: mistakes(family) for name, family in found.items()}
    if len(wrong) < 2 or not sum(wrong.values()):
        return None
    name = max(wrong, key=lambda family: wrong[family])
    return name, wrong[name], sum(wrong.values())


def sentence(m: dict[str, Any]) -> str:
    """The headline; says so if there is none."""
    if "accuracy" not in m or "gain" not in m:
        return "No score yet: evaluate_egoschema has not run."
    return (
        f"The policy answers {percent(m['accuracy'])} of {_asked(m)} "
        f"({_best(m)} {percent(m['best_base_accuracy'])}): {points(m['gain'])} points "
        f"[{points(m['gain_low'])}, {points(m['gain_high'])}].{_above(m)}"
    )


def _best(m: dict[str, Any]) -> str:
    """The base model, and the prompt under which it does best."""
    return f"base at its best, by {ASKED.get(m['best_base'], m['best_base'])},"


def _above(m: dict[str, Any]) -> str:
    """How far the score is above what is possible without the evidence."""
    if "above_floor" not in m:
        return ""
    span = f"{points(m['above_floor'])} points [{points(m['above_floor_low'])}, {points(m['above_floor_high'])}]"
    return f" That is {span} above the floor of {floor_of(m)}."


def _asked(m: dict[str, Any]) -> str:
    """Which questions the accuracy is of; a part of a benchmark is called one."""
    asked, whole = m["questions"], m.get("benchmark_questions", m["questions"])
    return f"{asked} held-out questions" if asked == whole else f"the questions asked, {asked} of {whole}"


def floor_of(m: dict[str, Any]) -> str:
    """The floor's accuracy and what it is: `19.8 % (no video, forced choice)`."""
    return f"{percent(m.get('floor'))} ({label_of(str(m.get('floor_of', 'chance')))})"


def details(m: dict[str, Any], controls: dict[str, Any]) -> list[tuple[str, str]]:
    """Behind the sentence, as (label, text); what was not measured is left out."""
    flips = controls.get("gains", {}).get("reasoning/video", {})
    found = [
        ("above the floor", _span(m, "above_floor", f"paired; the floor is {floor_of(m)}")),
        ("gain over the base at its best", _span(m, "gain", "whatever way of asking suits the base most")),
        ("gain, same prompt", _span(m, "gain_same_prompt", "paired, clustered by recording")),
        ("gain, sampled", _span(m, "sampled_gain", "drawn, not greedy")),
    ]
    if flips:
        text = f"{flips['gained']} gained, {flips['lost']} lost; McNemar's exact test p = {flips['p_value']:.2g}"
        found.append(("questions that flipped", text))
    worst = worst_family(controls)
    if worst:
        found.append(("where the mistakes are", f"{worst[1]} of {worst[2]} in family {worst[0] or '(none)'}"))
    if "gain" in m:
        found.append(("detectable difference", _detectable(m)))
    found.append(("completions without an answer", _both(m, "unparsed_fraction", percent)))
    found.append(("answers that agree with their thinking", _both(m, "agreement", percent)))
    found.append(("the same, read from its facts", _both(m, "stated_agreement", percent)))
    found.append(("F1 of the named keyframes", _both(m, "keyframe_f1", "{:.3f}".format)))
    found.append(("the same for random times", _both(m, "keyframe_f1_random", "{:.3f}".format)))
    return [(label, text) for label, text in found if text]


def _detectable(m: dict[str, Any]) -> str:
    if "detectable_gain" not in m:
        return f"none: {m.get('questions')} questions are too few to show any"
    return f"{100 * m['detectable_gain']:.1f} points with {scored_of(m)} (power 0.8)"


def _span(m: dict[str, Any], name: str, remark: str) -> str:
    if f"{name}_low" not in m:
        return ""
    return f"{points(m[name])} points [{points(m[f'{name}_low'])}, {points(m[f'{name}_high'])}]: {remark}"


def _both(m: dict[str, Any], name: str, form: Callable[[float], str]) -> str:
    """A quantity of both models, if it was measured."""
    parts = [f"{model} {form(m[key])}" for model, key in (("policy", name), ("base", f"base_{name}")) if key in m]
    return ", ".join(parts)


def cautions(m: dict[str, Any], controls: dict[str, Any]) -> list[str]:
    """Warnings to read before trusting the headline; empty if all controls look right."""
    worst, broken = worst_family(controls), invalid(controls)
    checks = (
        (
            worst and worst[2] >= FEW_MISTAKES and worst[1] > worst[2] * MOST_MISTAKES,
            f"{worst[1]} of the {worst[2]} mistakes lie in one family, {worst[0]}." if worst else "",
        ),
        (m.get("leaky"), "The data leaks (allow_leakage): these numbers are not comparable with anything."),
        (
            m.get("gain_low", 1) <= 0 >= m.get("gain_same_prompt_low", 1),
            "The interval of the gain contains 0: this run shows no improvement.",
        ),
        (
            m.get("above_floor_low", 1) <= 0,
            f"Not shown to be above the floor of {floor_of(m)}: the policy may not use what it sees.",
        ),
        (
            m.get("unparsed_fraction", 0) > controls.get("max_unreadable", 1),
            f"{percent(m.get('unparsed_fraction'))} of completions gave no answer.",
        ),
        (
            broken,
            f"Controls that do not count in free writing, as their answers cannot be read: {', '.join(broken)}.",
        ),
        (
            m.get("gain_low", 1) <= 0 < m.get("gain_same_prompt_low", 0),
            "Against the base under its best prompt the gain is unclear: training may just undo the prompt's cost.",
        ),
        (
            abs(m.get("gain", 1)) < m.get("detectable_gain", 0),
            f"{m.get('questions')} questions can only show differences of about "
            f"{100 * m.get('detectable_gain', 0):.1f} points; this gain is smaller.",
        ),
        (
            "gain" in m and "detectable_gain" not in m,
            f"{m.get('questions')} questions are too few to show any difference.",
        ),
        (m and not controls.get("runs"), "No controls were run: nothing supports the score."),
    )
    return [text for holds, text in checks if holds]
