"""The tiny base's curriculum: examples from its own pool of clips, with the prompts of training and evaluation.

Also its accuracy on held-out clips.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tqdm import tqdm

from pipeline.answers.parser import parse_answer
from pipeline.answers.prompts import build_messages, fill
from pipeline.models.generate import generate
from pipeline.models.policy import Policy
from pipeline.models.sampling import Sampling
from pipeline.params import Prompts
from pipeline.synthetic.families import SyntheticQuestion, actions_needed
from pipeline.synthetic.seeds import stream
from pipeline.synthetic.vocabulary import world_texts
from pipeline.synthetic.world import WorldSettings
from pipeline.tiny_base.examples import (
    PretrainingClip,
    corrupt_facts,
    draw_question,
    observe,
    render_clip,
    write_conclusion,
    write_direct,
    write_facts,
)
from pipeline.tiny_base.pretrain import Example
from pipeline.tiny_base.recipe import SECONDS, Phase
from pipeline.tiny_params import TinyRecipe

_DIRECT_SHARE = 0.1  # of the examples that ask for the letter alone
_BATCH = 64
_MAX_NEW_TOKENS = 40
_SALTS = {"combine": "skills", "degrade": "habits"}
"""The key of a phase's random numbers, if it is not the name: another key would give other
examples, and so another base model."""


def texts_of_the_world(prompts: Prompts) -> list[str]:
    """Every text that occurs in examples and in the world's questions: what the tokenizer must know."""
    return [prompts.reasoning, prompts.direct, *world_texts()]


@dataclass(frozen=True)
class Curriculum:
    """Draws examples from `clips`; `held_out` only measure accuracy."""

    seed: int
    prompts: Prompts
    recipe: TinyRecipe
    clips: Sequence[PretrainingClip]
    held_out: Sequence[PretrainingClip]

    def draw(self, name: str, phase: Phase, step: int) -> list[Example]:
        """The examples of one step of a phase, on clips in turn."""
        rng = stream(self.seed, "school", _SALTS.get(name, name), step)
        mixture = phase.mixture
        kinds = ["see"] * mixture.see + ["write"] * mixture.write + ["whole"] * mixture.whole
        first = step * len(kinds)
        clips = [self.clips[(first + i) % len(self.clips)] for i in range(len(kinds))]
        return [self._example(kind, clip, phase, rng) for kind, clip in zip(kinds, clips, strict=True)]

    def _example(self, kind: str, clip: PretrainingClip, phase: Phase, rng: np.random.Generator) -> Example:
        """One question about a clip; each fact in the text is wrong with probability `label_noise` (`corrupt_facts`).

        `see`: describe what is visible. `write`: given these facts and no clip, find the option and answer. `whole`:
        both, or now and then the letter alone.
        """
        asked = draw_question(clip, self.recipe.families, rng)
        seen = corrupt_facts(observe(clip.script), phase.label_noise, rng)
        times = clip.pts_seconds.tolist()
        messages = self._messages(self.prompts.reasoning, clip, asked, kind != "write")
        facts, conclusion = write_facts(seen), write_conclusion(seen, asked, times)
        if kind == "see":
            return Example(clip, messages, facts, open_end=True)
        if kind == "write":
            return Example(None, messages, conclusion, given=facts)
        if rng.random() < _DIRECT_SHARE:
            return Example(clip, self._messages(self.prompts.direct, clip, asked, True), write_direct(seen, asked))
        return Example(clip, messages, facts + conclusion)

    def _messages(
        self, template: str, clip: PretrainingClip, asked: SyntheticQuestion, with_video: bool
    ) -> list[dict[str, Any]]:
        end = clip.script.duration_seconds
        text = fill(template, asked.question, asked.options, clip.pts_seconds.tolist(), 0.0, end)
        return build_messages(text, clip.script.video_id if with_video else None)

    def measure_accuracy(self, policy: Policy, temperature: float) -> dict[str, float]:
        """Accuracy (a fraction) on one question per held-out clip, in all and by family; unreadable answers are
        wrong."""
        sampling = Sampling(_MAX_NEW_TOKENS, temperature)
        right: dict[str, list[bool]] = {family: [] for family in self.recipe.families}
        for asked, text in self._answers(policy, sampling):
            right[asked.family].append(parse_answer(text, asked.options).option == asked.answer)
        everything = [ok for family in right.values() for ok in family]
        scores = {"all": everything, **right}
        return {name: round(sum(oks) / len(oks), 4) for name, oks in scores.items() if oks}

    def _answers(self, policy: Policy, sampling: Sampling) -> Iterator[tuple[SyntheticQuestion, str]]:
        """Each held-out clip's question with the policy's completion."""
        rng = stream(self.seed, "school", "exam")
        paired = [(clip, draw_question(clip, self.recipe.families, rng)) for clip in self.held_out]
        for first in tqdm(range(0, len(paired), _BATCH), desc="accuracy", unit="batch"):
            batch = paired[first : first + _BATCH]
            prompts = [self._messages(self.prompts.reasoning, clip, asked, True) for clip, asked in batch]
            clips = {clip.script.video_id: clip for clip, _ in batch}
            seeds = [f"{self.seed}|exam|{clip.script.video_id}" for clip, _ in batch]
            for (_, asked), row in zip(batch, generate(policy, prompts, clips, sampling, 1, seeds), strict=True):
                yield asked, row[0].text


def make_curriculum(seed: int, prompts: Prompts, recipe: TinyRecipe) -> Curriculum:
    """Render the clips, with a progress bar."""
    settings = WorldSettings(*SECONDS, actions_needed(recipe.families))
    total = recipe.clips + recipe.held_out_clips
    clips = [
        render_clip(seed, i, settings, recipe.frames_per_clip, recipe.frame_pixels)
        for i in tqdm(range(total), desc="render", unit="clip")
    ]
    return Curriculum(seed, prompts, recipe, clips[: recipe.clips], clips[recipe.clips :])
