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
from pipeline.frames.geometry import FrameSize
from pipeline.models.generate import generate
from pipeline.models.policy import Policy
from pipeline.models.sampling import Sampling
from pipeline.params import Prompts
from pipeline.synthetic.families import OPTIONS, SyntheticQuestion, actions_needed
from pipeline.synthetic.seeds import stream
from pipeline.synthetic.vocabulary import world_texts
from pipeline.synthetic.world import WINDOWS, WorldSettings
from pipeline.tiny_base.examples import (
    UNSEEN,
    Observation,
    PretrainingClip,
    corrupt_facts,
    draw_frames,
    draw_question,
    glance,
    observe,
    render_clip,
    show,
    write_conclusion,
    write_direct,
    write_facts,
)
from pipeline.tiny_base.pretrain import Example
from pipeline.tiny_base.recipe import SECONDS, Phase
from pipeline.tiny_params import TinyRecipe

LOOK = "look"
"""The prompt of a lesson that asks nothing: half as long as a question with its options."""
_BATCH = 64
_MAX_NEW_TOKENS = 40


def texts_of_the_world(prompts: Prompts) -> list[str]:
    """Every text that occurs in examples and in the world's questions: what the tokenizer must know."""
    return [prompts.reasoning, prompts.direct, LOOK, UNSEEN, *world_texts()]


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
        rng = stream(self.seed, "school", name, step)
        kinds = [kind for kind, count in vars(phase.mixture).items() for _ in range(count)]
        first = step * len(kinds)
        clips = [self.clips[(first + i) % len(self.clips)] for i in range(len(kinds))]
        return [self._example(kind, clip, phase, rng) for kind, clip in zip(kinds, clips, strict=True)]

    def _example(self, kind: str, clip: PretrainingClip, phase: Phase, rng: np.random.Generator) -> Example:
        """One question about a clip.

        `look`: describe what is visible. `write`: given these facts and no clip, find the option and answer. `whole`:
        both. `direct`: the answer at once. `glimpse` and `partial`: as `look`, and as `whole` or `direct`, with frames
        left out.
        """
        asked = draw_question(clip, self.recipe.families, rng)
        guess, every = int(rng.integers(OPTIONS)), tuple(range(len(clip.pts_seconds)))
        shown = draw_frames(len(every), rng) if kind in ("glimpse", "partial") else every
        direct = kind == "direct" or (kind == "partial" and rng.random() < phase.direct_share)
        seen = _said_of(observe(clip.script, shown), direct, phase, rng)
        viewed = show(clip, shown or every)
        if kind in ("look", "glimpse"):
            return _lesson(viewed, shown, build_messages(LOOK, clip.script.video_id), write_facts(seen), open_end=True)
        messages = self._messages(self.prompts.direct if direct else self.prompts.reasoning, viewed, asked)
        if direct:
            return _lesson(viewed, shown, messages, write_direct(seen, asked, guess))
        parted = phase.parted and rng.random() < phase.parted
        meant = observe(clip.script, shown) if parted else seen
        facts, conclusion = write_facts(seen), write_conclusion(seen, asked, viewed.pts_seconds.tolist(), guess, meant)
        if kind == "write":
            return _lesson(viewed, (), messages, conclusion, given=facts)
        return _lesson(viewed, shown, messages, facts + conclusion)

    def _messages(self, template: str, clip: PretrainingClip, asked: SyntheticQuestion) -> list[dict[str, Any]]:
        end = clip.script.duration_seconds
        text = fill(template, asked.question, asked.options, clip.pts_seconds.tolist(), 0.0, end)
        return build_messages(text, clip.script.video_id)

    def measure_accuracy(self, policy: Policy, prompt: str, temperature: float) -> dict[str, float]:
        """Accuracy (a fraction) on one question per held-out clip, in all and by family; unreadable answers are wrong.

        `prompt` is `reasoning` or `direct`.
        """
        sampling = Sampling(_MAX_NEW_TOKENS, temperature)
        right: dict[str, list[bool]] = {family: [] for family in self.recipe.families}
        for asked, text in self._answers(policy, sampling, getattr(self.prompts, prompt)):
            right[asked.family].append(parse_answer(text, asked.options).option == asked.answer)
        everything = [ok for family in right.values() for ok in family]
        scores = {"all": everything, **right}
        return {name: round(sum(oks) / len(oks), 4) for name, oks in scores.items() if oks}

    def _answers(self, policy: Policy, sampling: Sampling, template: str) -> Iterator[tuple[SyntheticQuestion, str]]:
        """Each held-out clip's question with the policy's completion."""
        rng = stream(self.seed, "school", "exam")
        paired = [(clip, draw_question(clip, self.recipe.families, rng)) for clip in self.held_out]
        for first in tqdm(range(0, len(paired), _BATCH), desc="accuracy", unit="batch"):
            batch = paired[first : first + _BATCH]
            prompts = [self._messages(template, clip, asked) for clip, asked in batch]
            clips = {clip.script.video_id: clip for clip, _ in batch}
            seeds = [f"{self.seed}|exam|{clip.script.video_id}" for clip, _ in batch]
            for (_, asked), row in zip(batch, generate(policy, prompts, clips, sampling, 1, seeds), strict=True):
                yield asked, row[0].text


def _said_of(seen: Observation, direct: bool, phase: Phase, rng: np.random.Generator) -> Observation:
    """What this phase teaches to say of what is seen."""
    if not direct:
        return corrupt_facts(seen, phase.label_noise, rng)
    return glance(seen) if phase.glance else seen


def _lesson(
    clip: PretrainingClip, shown: Sequence[int], messages: list[dict[str, Any]], completion: str, **more: Any
) -> Example:
    """An example with the clip; without a video, under the same text, if no frame is shown."""
    if shown:
        return Example(clip, messages, completion, **more)
    return Example(None, build_messages(messages[0]["content"][-1]["text"], None), completion, **more)


def make_curriculum(seed: int, prompts: Prompts, recipe: TinyRecipe, size: FrameSize) -> Curriculum:
    """Render the clips with a progress bar: a frame of each window of the world, square, as large as `size` allows."""
    settings = WorldSettings(*SECONDS, actions_needed(recipe.families))
    total, (pixels, _) = recipe.clips + recipe.held_out_clips, size.fit(size.max_pixels, size.max_pixels)
    clips = [render_clip(seed, i, settings, WINDOWS, pixels) for i in tqdm(range(total), desc="render", unit="clip")]
    return Curriculum(seed, prompts, recipe, clips[: recipe.clips], clips[recipe.clips :])
