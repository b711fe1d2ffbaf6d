"""Hours, dollars and memory of a whole run, from the seconds that this card took for one group and one question."""

from typing import Any

STEPS, PROMPTS, GROUP, TOKENS = 1000, 8, 8, 512  # profiles/full.yaml, held by tests/contracts/test_rehearsal.py
SAMPLES = 4  # of the difficulty filter, per question
FILTERED = 10_530  # questions that the filter asks for 8,000 used (docs/full_scale.md)
LONG_ANSWERS = 750  # of evaluation, for each of two models
DOLLARS = 3.0  # an hour


def whole_run(step: dict[str, Any], tokens: int, group: int) -> dict[str, float]:
    """What a run of profiles/full.yaml takes if every step is like the one measured.

    Args:
        step: the record of benchmarks/grpo.py for variant `shared`: seconds by part and peak_gib.
        tokens: completion length it was measured with.
        group: completions it was measured with.
    """
    seconds = step["seconds"]
    once = seconds["decode"] + seconds["encode"] + seconds["prefill"]
    writing = seconds["generate"] * TOKENS / tokens
    loss = seconds["loss"] * (GROUP / group)  # a longer completion adds little beside the prompt, which is shared
    training = STEPS * PROMPTS * (once + writing * GROUP / group + loss) / 3600
    filtering = FILTERED * (once + writing * SAMPLES / group) / 3600
    evaluation = 2 * LONG_ANSWERS * (once + writing / group) / 3600
    hours = training + filtering + evaluation
    told = {"training": training, "difficulty filter": filtering, "evaluation": evaluation, "all": hours}
    return {name: round(value, 2) for name, value in told.items()} | {
        "dollars at 3 an hour": round(DOLLARS * hours, 2),
        "peak GiB of a group's step": step["peak_gib"],
    }
