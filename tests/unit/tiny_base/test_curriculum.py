"""What the tiny base is trained on: right texts from right observations, wrong ones at the rate asked for."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.answers.keyframes import parse_keyframes, soft_f1
from pipeline.answers.parser import ParseOutcome, parse_answer
from pipeline.params import Prompts
from pipeline.synthetic.families import FAMILIES, ask_at
from pipeline.synthetic.world import COLOURS, PLACES, WorldSettings, count_values
from pipeline.tiny_base.curriculum import Curriculum, texts_of_the_world
from pipeline.tiny_base.examples import corrupt_facts, observe, render_clip, write_conclusion, write_facts
from pipeline.tiny_base.phases import new_policy
from pipeline.tiny_base.recipe import Mixture, Phase, TinyShape
from pipeline.tiny_params import TinyRecipe, TinySteps

PROMPTS = Prompts(reasoning="{times}\n{question}\n{options}\nthink", direct="{times}\n{question}\n{options}\nanswer")
PHASE = Phase(Mixture(whole=8), learning_rate=1e-3, focal_gamma=0.0)
SHAPE = TinyShape(
    layers=1, hidden_size=48, heads=4, vision_layers=1, vision_hidden_size=48, patch_size=8, initializer_range=0.08
)
RECIPE = TinyRecipe(
    clips=6, held_out_clips=2, families=("taken", "moved", "count"), frames_per_clip=6, frame_pixels=48,
    steps=TinySteps(lookup=1, see=1, combine=1, degrade=1),
)  # fmt: skip
CLIPS = [render_clip(0, i, WorldSettings(6.0, 12.0, 1), 6, 48) for i in range(8)]
CURRICULUM = Curriculum(0, PROMPTS, RECIPE, CLIPS[:6], CLIPS[6:])


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_a_true_observer_is_right_and_names_the_key_frames(family: str) -> None:
    settings = WorldSettings(6.0, 12.0, FAMILIES[family].actions)
    for index in range(10):
        clip = render_clip(0, index, settings, 6, 16)
        asked = ask_at(clip.script, family, index % 5, np.random.default_rng(index))
        seen = observe(clip.script)
        text = write_facts(seen) + write_conclusion(seen, asked, clip.pts_seconds.tolist())
        parsed = parse_answer(text, asked.options)
        assert (parsed.option, parsed.outcome) == (asked.answer, ParseOutcome.TAGGED)
        named = parse_keyframes(text)
        assert soft_f1(named, asked.key_seconds, clip.script.window_seconds / 2, 3) > 0.7


def test_wrong_facts_are_the_next_ones_and_come_at_the_rate_asked_for() -> None:
    rng, a = np.random.default_rng(0), observe(CLIPS[0].script)
    assert corrupt_facts(a, 0.0, rng) == a
    wrong = corrupt_facts(a, 1.0, rng)
    assert wrong.windows == tuple(window + 1 for window in a.windows)
    assert wrong.place == PLACES[(PLACES.index(a.place) + 1) % len(PLACES)]
    assert wrong.colours[0] == COLOURS[(COLOURS.index(a.colours[0]) + 1) % len(COLOURS)]
    share = np.mean([corrupt_facts(a, 0.7, rng).colours != a.colours for _ in range(2000)])
    assert abs(share - 0.7) < 0.05


def test_a_wrong_number_is_one_that_a_clip_can_show() -> None:
    seen = observe(CLIPS[0].script)
    counts = count_values(len(seen.windows))
    after = [corrupt_facts(replace(seen, count=n), 1.0, np.random.default_rng(0)).count for n in counts]
    assert after == [*counts[1:], counts[0]]


def test_examples_are_a_function_of_phase_and_step_and_need_no_unknown_word() -> None:
    examples = CURRICULUM.draw("combine", PHASE, 3)
    assert [x.completion for x in examples] == [x.completion for x in CURRICULUM.draw("combine", PHASE, 3)]
    assert [x.completion for x in examples] != [x.completion for x in CURRICULUM.draw("combine", PHASE, 4)]
    tokenizer = new_policy(SHAPE, texts_of_the_world(PROMPTS), 0).tokenizer
    for example in examples:
        text = example.messages[0]["content"][-1]["text"] + example.completion
        assert tokenizer.unk_token_id not in tokenizer(text).input_ids
        written = tokenizer(example.completion).input_ids
        assert len(written) <= 40
        assert tokenizer.decode(written).split() == tokenizer.convert_ids_to_tokens(written)


def test_the_kinds_of_example_are_parts_of_one_completion() -> None:
    phase = replace(PHASE, mixture=Mixture(see=2, write=3))
    examples = CURRICULUM.draw("see", phase, 0)
    see, write = examples[:2], examples[2:]
    assert len(write) == 3
    assert all(x.clip is not None and x.open_end and x.completion.startswith("<think>frame ") for x in see)
    assert all(x.clip is None and len(x.messages[0]["content"]) == 1 for x in write)
    for example in write:
        letter = example.completion[example.completion.index("<answer>") + 8]
        assert example.given.startswith("<think>frame ")
        assert example.completion.startswith(" so ")
        assert f" {letter}</think>" in example.completion


def test_an_untrained_policy_fails_on_held_out_clips() -> None:
    scores = CURRICULUM.measure_accuracy(new_policy(SHAPE, texts_of_the_world(PROMPTS), 0), temperature=0.0)
    assert scores["all"] <= 0.5
