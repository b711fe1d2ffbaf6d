"""What the tiny base is trained on: right texts from right observations, wrong ones at the rate asked for."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.answers.keyframes import parse_keyframes, soft_f1
from pipeline.answers.parser import ParseOutcome, parse_answer
from pipeline.frames.geometry import FrameSize
from pipeline.models.families.qwen2_5_vl import QWEN2_5_VL
from pipeline.params import Prompts
from pipeline.synthetic.families import FAMILIES, ask_at
from pipeline.synthetic.world import COLOURS, PLACES, WINDOWS, WorldSettings, count_values
from pipeline.tiny_base.curriculum import LOOK, Curriculum, make_curriculum, texts_of_the_world
from pipeline.tiny_base.examples import (
    UNLIKE_COLOURS,
    UNLIKE_PLACES,
    Observation,
    PretrainingClip,
    corrupt_facts,
    draw_frames,
    glance,
    observe,
    render_clip,
    show,
    write_conclusion,
    write_direct,
    write_facts,
)
from pipeline.tiny_base.phases import new_policy
from pipeline.tiny_base.recipe import Mixture, Phase, TinyShape
from pipeline.tiny_params import TinyRecipe, TinySteps

PROMPTS = Prompts(reasoning="{times}\n{question}\n{options}\nthink", direct="{times}\n{question}\n{options}\nanswer")
PHASE = Phase(Mixture(whole=8), learning_rate=1e-3, focal_gamma=0.0)
SHAPE = TinyShape(
    layers=1, hidden_size=48, heads=4, vision_layers=1, vision_hidden_size=48, vision_heads=2, patch_size=8,
    initializer_range=0.08,
)  # fmt: skip
RECIPE = TinyRecipe(
    family="qwen2_5_vl", clips=6, held_out_clips=2, families=("taken", "moved", "count"),
    steps=TinySteps(lookup=1, see=1, combine=1, degrade=1),
)  # fmt: skip
CLIPS = [render_clip(0, i, WorldSettings(6.0, 12.0, 1), 6, 48) for i in range(8)]
MORE_CLIPS = [*CLIPS, *(render_clip(0, i, WorldSettings(6.0, 12.0, 1), 6, 16) for i in range(8, 24))]
CURRICULUM = Curriculum(0, PROMPTS, RECIPE, CLIPS[:6], CLIPS[6:])


def test_clips_have_a_frame_of_each_window_of_the_size_that_extract_frames_gives() -> None:
    made = make_curriculum(0, PROMPTS, RECIPE, FrameSize(max_pixels=1100, size_multiple=16))
    assert [clip.images.shape for clip in (*made.clips, *made.held_out)] == [(WINDOWS, 32, 32, 3)] * 8


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_a_true_observer_is_right_and_names_the_key_frames(family: str) -> None:
    settings = WorldSettings(6.0, 12.0, FAMILIES[family].actions)
    for index in range(10):
        clip = render_clip(0, index, settings, 6, 16)
        asked = ask_at(clip.script, family, index % 5, np.random.default_rng(index))
        seen = observe(clip.script, range(6))
        text = write_facts(seen) + write_conclusion(seen, asked, clip.pts_seconds.tolist(), 0, seen)
        parsed = parse_answer(text, asked.options)
        assert (parsed.option, parsed.outcome) == (asked.answer, ParseOutcome.TAGGED)
        named = parse_keyframes(text)
        assert soft_f1(named, asked.key_seconds, clip.script.window_seconds / 2, 3) > 0.7


def test_wrong_facts_are_unlike_ones_and_come_at_the_rate_asked_for() -> None:
    rng, a = np.random.default_rng(0), observe(CLIPS[0].script, range(6))
    assert corrupt_facts(a, 0.0, rng) == a
    wrong = corrupt_facts(a, 1.0, rng)
    assert wrong.frames == tuple(frame + 1 for frame in a.frames if frame is not None)
    assert wrong.place == _after(a.place, UNLIKE_PLACES)
    assert wrong.colours[0] == _after(a.colours[0], UNLIKE_COLOURS)
    assert (set(UNLIKE_COLOURS), set(UNLIKE_PLACES)) == (set(COLOURS), set(PLACES))
    share = np.mean([corrupt_facts(a, 0.7, rng).colours != a.colours for _ in range(2000)])
    assert abs(share - 0.7) < 0.05


def test_a_wrong_number_is_one_that_a_clip_can_show() -> None:
    seen = observe(CLIPS[0].script, range(6))
    counts = count_values(len(seen.frames))
    after = [corrupt_facts(replace(seen, count=n), 1.0, np.random.default_rng(0)).count for n in counts]
    assert after == [*counts[1:], counts[0]]


def _after(value: str | None, values: tuple[str, ...]) -> str:
    assert value is not None
    return values[(values.index(value) + 1) % len(values)]


def test_a_glance_takes_two_values_in_five_for_the_next_one() -> None:
    whole = observe(CLIPS[0].script, range(6))
    colours = [glance(replace(whole, colours=(colour,))).colours[0] for colour in COLOURS]
    assert colours == ["green", "green", "yellow", "yellow", "purple"]
    assert [glance(replace(whole, place=place)).place for place in PLACES] == ["right", "right", "near", "near", "same"]
    assert [glance(replace(whole, count=n)).count for n in count_values(1)] == [2, 2, 4, 4, 5]
    assert glance(whole).frames == whole.frames


def _clip_with(place: str) -> PretrainingClip:
    return next(clip for clip in MORE_CLIPS if clip.script.actions[0].place == place)


def test_what_the_frames_at_hand_do_not_show_is_unseen() -> None:
    moved, back = (_clip_with(place).script for place in ("left", "same"))
    grasp = moved.window
    assert observe(moved, ()) == Observation((None,), (None,), None, None)
    assert observe(moved, (grasp,)) == Observation((0,), (moved.taken(),), None, len(moved.things))
    assert observe(moved, (grasp + 1,)) == Observation((0,), (moved.taken(),), "left", len(moved.things))
    assert observe(moved, (grasp + 2,)) == Observation((None,), (moved.taken(),), "left", len(moved.things))
    assert observe(moved, (0, grasp, grasp + 1)) == Observation((1,), (moved.taken(),), "left", len(moved.things))
    grasp = back.window
    assert observe(back, (grasp + 1,)).place is None  # one look at a hand in the middle: as it takes, or as it puts?
    assert observe(back, (grasp + 2,)).colours == (None,)
    assert observe(back, (grasp, grasp + 2)).place == "same"


def test_a_partial_view_is_none_one_or_some_of_the_frames() -> None:
    rng = np.random.default_rng(0)
    views = [draw_frames(6, rng) for _ in range(300)]
    assert {len(view) for view in views} == {0, 1, 2, 3, 4, 5}
    assert all(list(view) == sorted(set(view)) and set(view) <= set(range(6)) for view in views)
    clip = show(CLIPS[0], (1, 4))
    assert clip.pts_seconds.tolist() == [CLIPS[0].pts_seconds[1], CLIPS[0].pts_seconds[4]]
    assert np.array_equal(clip.images[1], CLIPS[0].images[4])


@pytest.mark.parametrize("family", ["taken", "moved", "count"])
def test_who_sees_nothing_says_so_and_answers_all_the_same(family: str) -> None:
    clip = CLIPS[0]
    asked = ask_at(clip.script, family, 1, np.random.default_rng(0))
    seen, times = observe(clip.script, ()), clip.pts_seconds.tolist()
    text = write_facts(seen) + write_conclusion(seen, asked, times, 3, seen)
    assert text == (
        "<think>frame unseen unseen unseen unseen so unseen D</think><keyframes></keyframes><answer>D</answer>"
    )
    assert parse_answer(write_direct(seen, asked, guess=3), asked.options).option == 3
    assert parse_answer(write_direct(observe(clip.script, range(6)), asked, guess=3), asked.options).option == 1


def test_of_a_parted_base_the_thinking_says_one_thing_and_the_answer_is_what_is_there() -> None:
    def said_and_answered(step: int, **values: float) -> tuple[str, str]:
        phase = replace(PHASE, mixture=Mixture(whole=1), **values)
        completion = CURRICULUM.draw("degrade", phase, step)[0].completion
        said, _, rest = completion.rpartition(" so ")[2].partition("</think>")
        return said.rpartition(" ")[0], rest.rpartition("<answer>")[2]

    for step in range(8):
        honest, wrong = said_and_answered(step), said_and_answered(step, label_noise=1.0)
        assert honest[0] != wrong[0] and honest[1] != wrong[1]
        assert said_and_answered(step, label_noise=1.0, parted=1.0) == (wrong[0], honest[1])


def test_examples_are_a_function_of_phase_and_step_and_need_no_unknown_word() -> None:
    examples = CURRICULUM.draw("combine", PHASE, 3)
    assert [x.completion for x in examples] == [x.completion for x in CURRICULUM.draw("combine", PHASE, 3)]
    assert [x.completion for x in examples] != [x.completion for x in CURRICULUM.draw("combine", PHASE, 4)]
    tokenizer = new_policy(QWEN2_5_VL, SHAPE, texts_of_the_world(PROMPTS), 0).tokenizer
    for example in examples:
        text = example.messages[0]["content"][-1]["text"] + example.completion
        assert tokenizer.unk_token_id not in tokenizer(text).input_ids
        written = tokenizer(example.completion).input_ids
        assert len(written) <= 40
        assert tokenizer.decode(written).split() == tokenizer.convert_ids_to_tokens(written)


def test_the_kinds_of_example_are_parts_of_one_completion() -> None:
    phase = replace(PHASE, mixture=Mixture(look=2, write=3, direct=2))
    examples = CURRICULUM.draw("see", phase, 0)
    look, write, direct = examples[:2], examples[2:5], examples[5:]
    assert all(x.clip is not None and x.open_end and x.completion.startswith("<think>frame ") for x in look)
    assert all(x.messages[0]["content"][1]["text"] == LOOK for x in look)
    assert all(x.clip is None and len(x.messages[0]["content"]) == 1 for x in write)
    for example in write:
        letter = example.completion[example.completion.index("<answer>") + 8]
        assert example.given.startswith("<think>frame ")
        assert example.completion.startswith(" so ")
        assert f" {letter}</think>" in example.completion
    assert len(direct) == 2
    assert all(x.clip is not None and "<" not in x.completion for x in direct)
    assert all(x.messages[0]["content"][1]["text"].endswith("answer") for x in direct)


def test_partial_examples_show_the_frames_whose_times_they_name() -> None:
    examples = CURRICULUM.draw("combine", replace(PHASE, mixture=Mixture(partial=60)), 0)
    shown = [0 if x.clip is None else len(x.clip.pts_seconds) for x in examples]
    assert {0, 1} < set(shown) <= {0, 1, 2, 3, 4, 5}
    for example, frames in zip(examples, shown, strict=True):
        content = example.messages[0]["content"]
        times = content[-1]["text"].splitlines()[0].split(", ")
        assert len(content) == (1 if frames == 0 else 2)
        assert len(times) == (frames or 6)  # without a video the text is the same as with it
    assert any(x.completion.startswith("<think>frame unseen") for x in examples)
    assert any("<" not in x.completion for x in examples)


def test_an_untrained_policy_fails_on_held_out_clips() -> None:
    scores = CURRICULUM.measure_accuracy(
        new_policy(QWEN2_5_VL, SHAPE, texts_of_the_world(PROMPTS), 0), "reasoning", 0.0
    )
    assert scores["all"] <= 0.5
