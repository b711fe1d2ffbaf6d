"""Files and folders are whole or absent, whatever ends the block that writes them."""

from pathlib import Path

import pytest

from pipeline.files import locked, replacing, replacing_folder
from pipeline.processes import Stopped


@pytest.mark.parametrize("end", [RuntimeError("a bug"), Stopped(15), KeyboardInterrupt()])
def test_what_ends_the_block_leaves_the_old_file_and_nothing_else(tmp_path: Path, end: BaseException) -> None:
    target = tmp_path / "new" / "rows.json"
    with replacing(target) as partial:
        partial.write_text("old")
    with pytest.raises(type(end)), replacing(target) as partial:
        partial.write_text("half")
        raise end
    assert target.read_text() == "old"
    assert [path.name for path in target.parent.iterdir()] == ["rows.json"]


@pytest.mark.parametrize("end", [RuntimeError("a bug"), Stopped(15), KeyboardInterrupt()])
def test_a_folder_is_replaced_as_one(tmp_path: Path, end: BaseException) -> None:
    target = tmp_path / "base"
    with replacing_folder(target) as partial:
        (partial / "weights").write_text("old")
        (partial / "card").write_text("old")
    with pytest.raises(type(end)), replacing_folder(target) as partial:
        (partial / "weights").write_text("half")
        raise end
    assert sorted(path.name for path in target.iterdir()) == ["card", "weights"]
    (tmp_path / "base.partial").mkdir()  # left by a kill
    (tmp_path / "base.partial" / "torn").write_text("half")
    with replacing_folder(target) as partial:
        (partial / "weights").write_text("new")
    assert {path.name: path.read_text() for path in target.iterdir()} == {"weights": "new"}
    assert [path.name for path in tmp_path.iterdir()] == ["base"]


def test_who_waits_for_a_lock_is_told_once_and_then_refused(tmp_path: Path) -> None:
    waits: list[str] = []
    with locked(tmp_path / "lock", 0):
        with pytest.raises(TimeoutError), locked(tmp_path / "lock", 0.2, lambda: waits.append("waits")):
            pass
        with locked(tmp_path / "other", 0, lambda: waits.append("never")):
            pass
    with locked(tmp_path / "lock", 0, lambda: waits.append("never")):
        pass
    assert waits == ["waits"]
