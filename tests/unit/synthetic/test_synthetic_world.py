"""The synthetic world: what a script promises, and that the picture keeps it."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.synthetic.render import Renderer
from pipeline.synthetic.seeds import balanced, stream
from pipeline.synthetic.world import WINDOWS, WorldSettings, count_values, make_script, thing_position

ONE, TWO = WorldSettings(6.0, 12.0, 1), WorldSettings(6.0, 12.0, 2)


def test_balanced_gives_each_value_once_a_block() -> None:
    values = [balanced(3, i, 5, "letter") for i in range(40)]
    assert all(sorted(values[i : i + 5]) == [0, 1, 2, 3, 4] for i in range(0, 40, 5))
    assert values[:5] != values[5:10] or values[5:10] != values[10:15]


def test_streams_differ_by_every_part_of_their_name() -> None:
    draws = [stream(*name).random() for name in ((0, "a", "b"), (1, "a", "b"), (0, "ab", ""), (0, "a", "b", 0))]
    assert len(set(draws)) == 4
    assert stream(0, "a", "b").random() == draws[0]


@pytest.mark.parametrize("settings", [ONE, TWO])
def test_every_take_shows_in_its_own_uniform_frames(settings: WorldSettings) -> None:
    for index in range(50):
        script = make_script(0, f"v{index}", "train", index, settings)
        width = script.window_seconds
        for action in script.actions:
            window = int(action.grasp_seconds / width)
            assert abs(action.grasp_seconds - (window + 0.5) * width) <= 0.15 * width + 1e-3
            assert int(action.put_seconds / width) == window + 1
            assert action.enter_seconds < action.grasp_seconds < action.put_seconds < action.leave_seconds
        assert len(script.things) in count_values(settings.actions)
        assert 6.0 <= script.duration_seconds <= 12.0
        assert script.window == int(script.actions[0].grasp_seconds / width) < WINDOWS - 1


def test_the_taken_colour_is_unique_and_everything_is_balanced() -> None:
    scripts = [make_script(0, f"v{i}", "test", i, TWO) for i in range(50)]
    for script in scripts:
        taken = {script.taken(0), script.taken(1)}
        assert len(taken) == 2
        assert sum(thing.colour in taken for thing in script.things) == 2
    for value in {s.taken() for s in scripts}:
        assert sum(s.taken() == value for s in scripts) == 10
    assert {s.actions[0].place for s in scripts} == {"left", "right", "far", "near", "same"}


def test_an_object_lies_is_carried_and_lies_again() -> None:
    script = make_script(0, "v1", "train", 1, ONE)
    action = script.actions[0]
    assert action.place != "same"
    start, target = script.things[0].position, action.target
    assert thing_position(script, 0, 0.0) == start
    assert thing_position(script, 0, script.duration_seconds) == pytest.approx(target)
    middle = thing_position(script, 0, (action.grasp_seconds + action.put_seconds) / 2)
    assert min(start[0], target[0]) <= middle[0] <= max(start[0], target[0])


def test_the_picture_depends_on_script_time_and_seed_only() -> None:
    script = make_script(0, "v3", "train", 3, ONE)
    first, second = Renderer(script, 64, 48, 0), Renderer(script, 64, 48, 0)
    late = second.draw(5.0)
    assert late.shape == (48, 64, 3)
    assert np.array_equal(first.draw(1.0), second.draw(1.0))
    assert np.array_equal(first.draw(5.0), late)
    assert not np.array_equal(Renderer(script, 64, 48, 1).draw(5.0), late)


def test_the_object_is_drawn_where_the_script_says() -> None:
    script = make_script(0, "v0", "train", 0, ONE)
    blue = replace(script, things=(replace(script.things[0], colour="blue", position=(0.5, 0.5)),))
    green = replace(script, things=(replace(script.things[0], colour="green", position=(0.5, 0.5)),))
    pictures = [Renderer(s, 96, 96, 0).draw(0.0)[44:52, 44:52].astype(int).mean((0, 1)) for s in (blue, green)]
    assert pictures[0].argmax() == 2
    assert pictures[1].argmax() == 1
