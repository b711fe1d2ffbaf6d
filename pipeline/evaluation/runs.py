"""A run of the evaluation: how a model is asked (mode) and what it is shown (view)."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.answers.thinking import ANSWER, OPENED
from pipeline.params import EvaluateEgoschema, Prompts

HEADLINE = "reasoning/video"
REASKED = "forced/reordered"
CONTROLS = ("blind", "shuffled", "middle_frame", "reversed", "named_frames")
"""Views that withhold evidence."""


@dataclass(frozen=True)
class Mode:
    """How to ask: which prompt template, how to decode, how often. `continuation` is a template of what is scored
    instead of generating (`{letter}`, `{option}`); `begun_by` names the mode whose completions are kept up to their
    answer, behind which it is scored."""

    template: str
    max_new_tokens: int
    temperature: float = 0.0
    samples: int = 1
    continuation: str | None = None
    begun_by: str | None = None
    bare_is_strict: bool = False


@dataclass(frozen=True)
class Run:
    """One pass of one model over the questions; `name` is `mode/view`."""

    model: str
    name: str

    @property
    def mode(self) -> str:
        """How the model is asked."""
        return self.name.split("/")[0]

    @property
    def view(self) -> str:
        """What the model is shown."""
        return self.name.split("/")[1]


def modes_of(settings: EvaluateEgoschema, prompts: Prompts) -> dict[str, Mode]:
    """The five ways to ask, by name."""
    tokens = settings.max_new_tokens
    return {
        "reasoning": Mode(prompts.reasoning, tokens),
        "sampled": Mode(prompts.reasoning, tokens, settings.temperature, settings.samples),
        "direct": Mode(prompts.direct, tokens, bare_is_strict=True),
        "likelihood": Mode(prompts.direct, 0, continuation=ANSWER),
        "forced": Mode(prompts.reasoning, 0, continuation=OPENED, begun_by="reasoning"),
    }


def run_order(names: Sequence[str]) -> list[str]:
    """Runs in order of execution: the headline first, because other views use the frames it names; last, runs that
    continue another's completions."""
    rest = sorted(name for name in set(names) if name != HEADLINE)
    return [HEADLINE, *sorted(rest, key=lambda name: name.startswith("forced/"))]
