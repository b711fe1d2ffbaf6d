"""Everything in a folder is counted, taken or not."""

import unicodedata
from pathlib import Path

from pipeline.sources.base import VideoItem
from pipeline.sources.folder import survey, told_of
from pipeline.sources.formats import Names
from pipeline.sources.real import video_id_of


def test_every_file_is_taken_or_has_a_reason(tmp_path: Path) -> None:
    names = ["a.mp4", "b.MTS", "c.3gp", "._a.mp4", "d.LRV", "e.360", "f.insv", "notes.txt", "sub/g.mov", ".h.mp4", "i"]
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    found = survey(tmp_path)
    assert found.videos == ("a.mp4", "b.MTS", "c.3gp", "sub/g.mov")
    assert sorted([*found.videos, *(name for names in found.left_out.values() for name in names)]) == sorted(names)
    assert found.left_out["macOS metadata of another file (._)"] == ("._a.mp4",)
    assert "1 hidden, first .h.mp4" in told_of(found.left_out)


def test_a_row_finds_its_file_however_the_disk_writes_its_letters() -> None:
    on_disk, in_row = (unicodedata.normalize(form, "küche.mp4") for form in ("NFD", "NFC"))
    assert on_disk != in_row
    assert video_id_of(on_disk) == video_id_of(in_row)
    for disk, row in ((on_disk, in_row), (in_row, on_disk)):
        assert Names.of([VideoItem("k", "", "", "", location=disk)]).id_of(row) == "k"
