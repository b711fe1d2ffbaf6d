from fractions import Fraction

import numpy as np

from pipeline.decode.plan import packet_ranges
from pipeline.video.index import PacketIndex


def index(pts: list[int], iframes: list[int], discard: tuple[int, ...] = ()) -> PacketIndex:
    number = np.arange(len(pts))
    return PacketIndex(
        np.array(pts), np.isin(number, iframes), np.isin(number, discard), number < 0, Fraction(1, 10), 0.0, 0.1
    )


def test_only_the_packets_from_the_i_frame_on_are_decoded() -> None:
    assert packet_ranges(index(list(range(12)), [0, 6]), np.array([2, 8])) == [range(3), range(6, 9)]


def test_wanted_frames_of_one_gop_share_a_range() -> None:
    assert packet_ranges(index(list(range(12)), [0, 6]), np.array([1, 2, 4])) == [range(5)]


def test_a_frame_is_found_by_its_time_not_its_number() -> None:
    b_frames = index([0, 3, 1, 2, 6, 4, 5], [0])
    assert packet_ranges(b_frames, np.array([2])) == [range(4)]


def test_a_leading_frame_of_an_open_gop_needs_the_gop_before() -> None:
    open_gop = index([0, 2, 1, 6, 4, 5, 8, 7], [0, 3])  # packets 4 and 5 are shown before the I-frame 3
    assert packet_ranges(open_gop, np.array([4])) == [range(5)]
    assert packet_ranges(open_gop, np.array([6])) == [range(3, 4)]
    assert packet_ranges(open_gop, np.array([4, 7])) == [range(8)]


def test_a_discarded_packet_is_never_chosen_for_its_time() -> None:
    doubled = index([-2, -1, 0, 0, 1], [0, 3], discard=(0, 1, 2))
    assert packet_ranges(doubled, np.array([0])) == [range(3, 4)]


def test_without_any_i_frame_decoding_starts_at_the_first_packet() -> None:
    assert packet_ranges(index([0, 1, 2], []), np.array([2])) == [range(3)]
