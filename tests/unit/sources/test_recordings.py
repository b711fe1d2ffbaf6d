"""Files of one recording, by the names that cameras and data sets give them."""

import pytest

from pipeline.sources.recordings import RULES, recording_of

UID = "490a50c0-988d-4091-9503-79c66e7d298a"

NAMES = {
    f"Ego4d/{UID}.mp4": UID,
    f"{UID}_12.mp4": UID,
    f"{UID}_368.40_403.56.mp4": UID,
    f"{UID}/split_3.mp4": UID,
    f"Ego4d_clip/{UID.upper()}-7.mp4": UID,
    "EPIC/P01_13.mp4": "P01_13",
    "P04_121.MP4": "P04_121",
    "takes/cmu_bike01_2/frame_aligned_videos/aria01_214-1.mp4": "cmu_bike01_2",
    "takes/cmu_bike01_2/frame_aligned_videos/downscaled/448/cam01.mp4": "cmu_bike01_2",
    "OP01-R01-PastaSalad-1002316-1004005-F024051-F024101.mp4": "OP01-R01-PastaSalad",
    "OP01-R01-PastaSalad.mp4": "OP01-R01-PastaSalad",
    "P03-R02-TurkeySandwich-51-1003-F001-F022.avi": "P03-R02-TurkeySandwich",
    "A1_JAKE/DAY1/DAY1_A1_JAKE_11094208.mp4": "EgoLife_DAY1_11h",
    "A4_LUCIA/DAY1/DAY1_A4_LUCIA_11593000.mp4": "EgoLife_DAY1_11h",
    "A4_LUCIA/DAY1/DAY1_A4_LUCIA_12000000.mp4": "EgoLife_DAY1_12h",
    "A4_LUCIA/DAY2/DAY2_A4_LUCIA_11100000.mp4": "EgoLife_DAY2_11h",
    "DAY1_A1_JAKE.mp4": "EgoLife_DAY1",
    "0BNMLEGO.mp4": "0BNML",
    "CharadesEgo_v1_480/0BNML.mp4": "0BNML",
    "trip/GX010123.MP4": "trip/GoPro_GX_0123",
    "trip/GX020123.MP4": "trip/GoPro_GX_0123",
    "trip/GOPR0123.MP4": "trip/GoPro_GP_0123",
    "trip/GP010123.MP4": "trip/GoPro_GP_0123",
    "other/GP010123.MP4": "other/GoPro_GP_0123",
    "a/06-13_1/fpv2.mp4": "a/06-13_1",
    "06-13_1_fpv1.mp4": "06-13_1",
    "cooking.mp4": None,
    "VIDEO.mp4": None,
    "GX0123.mp4": None,
    "my GX010123 copy.mp4": None,
}


@pytest.mark.parametrize("name", NAMES)
def test_recordings_are_known_by_name(name: str) -> None:
    found = recording_of(name)
    assert (None if found is None else found.recording_id) == NAMES[name]


def test_every_rule_is_tried_here() -> None:
    assert {found.rule for name in NAMES if (found := recording_of(name))} == set(RULES)
