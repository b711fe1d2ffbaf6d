import numpy as np
import pytest

from pipeline.keyframes.events import Event, contacts, find_events, place, state_worth

PTS = np.arange(0, 12, 0.1)


def bump(*centres: float) -> np.ndarray:
    return sum(np.exp(-(((PTS - c) / 0.25) ** 2)) for c in centres)


def test_an_event_has_a_rest_on_each_side_of_its_peak() -> None:
    first, second = find_events(bump(3.0) + 0.4 * bump(8.0), PTS)
    assert (first.peak_seconds, second.peak_seconds) == (pytest.approx(3.0), pytest.approx(8.0))
    assert first.start_seconds == pytest.approx(2.2) and first.end_seconds == pytest.approx(3.8)
    assert first.strength == pytest.approx(1.0, abs=0.01) and second.strength == pytest.approx(0.4, abs=0.01)


def test_an_action_under_way_at_an_end_of_the_clip_is_an_event() -> None:
    events = find_events(bump(0.0, 11.9), PTS)
    assert [e.peak_seconds for e in events] == [pytest.approx(0.0), pytest.approx(11.9)]
    assert events[0].start_seconds == 0.0 and events[1].end_seconds == pytest.approx(11.9)


def test_noise_is_no_event() -> None:
    assert find_events(np.full(len(PTS), 0.3), PTS) == []
    assert find_events(np.array([0.5]), np.array([0.0])) == []
    assert len(find_events(bump(3.0) + 0.02 * np.sin(40 * PTS), PTS)) == 1


def test_the_pause_between_two_movements_is_the_contact_and_is_worth_most() -> None:
    events = find_events(bump(4.0, 5.4), PTS)  # the hand comes, rests and leaves
    assert contacts(events).tolist() == [True, False]
    assert PTS[np.argmax(state_worth(events, PTS))] == pytest.approx(4.7, abs=0.11)
    assert place(4.7, events)[1] == "contact"
    assert place(3.2, events) == (0, "start") and place(6.2, events) == (1, "end")
    assert place(4.0, events) == (0, "peak")
    assert place(9.0, events) == (-1, "cover")


def test_a_weak_action_is_still_an_action() -> None:
    worth = state_worth([Event(1.0, 2.0, 3.0, 1.0), Event(6.0, 7.0, 8.0, 0.25)], PTS)
    assert worth[PTS.searchsorted(6.0 - 1e-9)] == pytest.approx(0.5, abs=0.01)
