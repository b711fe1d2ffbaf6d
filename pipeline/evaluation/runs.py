"""What a run of the evaluation is: how a model is asked (mode) and what it is shown (view)."""

from dataclasses import dataclass

from pipeline.params import EvaluateEgoschema, Prompts

HEADLINE = "reasoning/video"
LIKELIHOOD_CONTINUATION = "<answer>{letter}</answer>"  # what is scored for each option


@dataclass(frozen=True)
class Mode:
    """How to ask: which prompt template, how to decode, how often. `continuation` is a template of what is scored
    instead of generating (`{letter}`, `{option}`)."""

    template: str
    max_new_tokens: int
    temperature: float = 0.0
    samples: int = 1
    continuation: str | None = None
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
    """The four ways to ask, by name."""
    tokens = settings.max_new_tokens
    return {
        "reasoning": Mode(prompts.reasoning, tokens),
        "sampled": Mode(prompts.reasoning, tokens, settings.temperature, settings.samples),
        "direct": Mode(prompts.direct, tokens, bare_is_strict=True),
        "likelihood": Mode(prompts.direct, 0, continuation=LIKELIHOOD_CONTINUATION),
    }
