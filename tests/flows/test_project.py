"""The lock, the overlay, the snapshot and the watch on local sources: what keeps runs of one project apart."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flows.dvc.changes import note_sources, read_sources, sources_changed
from flows.dvc.errors import ProjectBusy
from flows.dvc.graph import Graph
from flows.dvc.lock import end_holder, project_lock, read_holder, silent_seconds
from flows.dvc.overlay import overlaid, restore
from flows.dvc.project import Project, find_project
from flows.dvc.snapshot import snapshot
from flows.dvc.walk import Walk
from flows.run import Terminal, main
from flows.service.ui import LocalServices
from pipeline.errors import ParamsError, StageError
from pipeline.params import parse_params
from pipeline.profiles import write_merged
from tests.flows.service import until
from tests.flows.toy import behave, finish, git
from tests.support.data_world import local_params

HOLD = """
import sys, time; from flows.dvc.lock import project_lock; from flows.dvc.project import find_project
with project_lock(find_project(sys.argv[1]), "12345678-1234-5678-1234-567812345678"):
    print("held", flush=True); time.sleep(60)
"""


def _holder(project: Project) -> "subprocess.Popen[bytes]":
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(project.root)], cwd=Path(__file__).parents[2])
    until(lambda: read_holder(project), 20, "the other process holds the project")
    return holder


def test_one_run_at_a_time_and_a_killed_one_frees_the_project_at_once(project: Project) -> None:
    other = _holder(project)
    with (
        pytest.raises(ProjectBusy, match=r"run 12345678-1234-5678-1234-567812345678 .* has held .* for 0 min"),
        project_lock(project, "me"),
    ):
        pass
    other.kill()
    other.wait()
    with project_lock(project, "me", wait_seconds=2) as dead:
        assert dead is not None and dead.run == "12345678-1234-5678-1234-567812345678" and dead.pid == other.pid
    with project_lock(project, "me") as dead:
        assert dead is None  # the last one said goodbye


def test_a_stuck_holder_can_be_ended(project: Project) -> None:
    other = _holder(project)
    os.utime(project.private / "alive", (time.time() - 7200,) * 2)
    assert silent_seconds(project) > 7000
    ended = end_holder(project)
    assert ended is not None and ended.pid == other.pid
    other.wait(10)
    with project_lock(project, "me", wait_seconds=2):
        pass


def test_an_overlay_lasts_for_its_block_and_keeps_comments(project: Project) -> None:
    path = project.root / "params.yaml"
    before = path.read_bytes()
    with overlaid(project, "quick", {"evaluate_egoschema.splits": ["dev"]}, parse_params):
        text = path.read_text()
        assert "learning_rate: 3.0e-6" in text and "splits:" in text
        assert text.count("  # ") == before.decode().count("  # ")
    assert path.read_bytes() == before
    for profile, overrides, message in (
        (None, {"train_grpo.learning_rte": 1}, "did you mean learning_rate"),
        ("../x", {}, "unknown profile '../x'; profiles: quick"),
    ):
        with pytest.raises(ParamsError) as error, overlaid(project, profile, overrides, parse_params):
            pytest.fail("cannot be reached")
        assert message in str(error.value)
    assert path.read_bytes() == before


def test_the_overlay_of_a_killed_run_is_undone_by_the_next(project: Project) -> None:
    path = project.root / "params.yaml"
    before = path.read_bytes()
    (project.private).mkdir(parents=True, exist_ok=True)
    (project.private / "params.yaml").write_bytes(before)  # as a killed run leaves it
    path.write_text("seed: 1\n")
    assert restore(project) and path.read_bytes() == before and not restore(project)


def test_what_the_user_changed_during_a_run_stays(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    path = project.root / "params.yaml"
    edited = path.read_text().replace("seed: 0", "seed: 7")
    with overlaid(project, "quick", {}, parse_params):
        path.write_text(edited)
    assert path.read_text() == edited
    assert "your edit is kept" in capsys.readouterr().err
    assert not restore(project)


def test_a_snapshot_holds_the_working_tree_and_touches_nothing(project: Project) -> None:
    (project.root / "stage.py").write_text("# edited\n")
    (project.root / "new.py").write_text("# new\n")
    (project.root / "data/raw").mkdir(parents=True)
    (project.root / "data/raw/big.bin").write_text("DVC's, ignored by git")
    before = git(project.root, "status", "--porcelain")
    commit = snapshot(project)
    assert git(project.root, "show", f"{commit}:stage.py") == "# edited"
    assert git(project.root, "show", f"{commit}:new.py") == "# new"
    assert "data/raw" not in git(project.root, "ls-tree", "-r", "--name-only", commit)
    assert git(project.root, "status", "--porcelain") == before
    assert git(project.root, "rev-parse", f"{commit}^") == git(project.root, "rev-parse", "HEAD")


def test_a_snapshot_takes_no_data_of_a_source_and_no_video(project: Project, caplog: pytest.LogCaptureFixture) -> None:
    params = project.root / "params.yaml"
    mine: dict[str, str | None] = {
        "kind": "local",
        "folder": "clips",
        "questions": "notes/mine.jsonl",
        "format": "native",
    }
    mine |= {"frame_rate": None, "split": "train", "licence": "secret"}
    write_merged(project.root, {"download_videos": {"sources": {"mine": mine}}})
    for name in ("clips/a/licensed.bin", "notes/mine.jsonl", "elsewhere/b.MP4", "notes/code.py"):
        (project.root / name).parent.mkdir(parents=True, exist_ok=True)
        (project.root / name).write_bytes(b"x" * 1000)
    (project.root / "stage.py").unlink()
    travelled = git(project.root, "ls-tree", "-r", "--name-only", snapshot(project)).split()
    assert "notes/code.py" in travelled and "params.yaml" in travelled and "stage.py" not in travelled
    assert not {"clips/a/licensed.bin", "notes/mine.jsonl", "elsewhere/b.MP4"} & set(travelled)
    assert "3 data files of sources (0.0 MB, first clips/a/licensed.bin) stay here" in caplog.text
    assert "mine" in params.read_text()


def test_a_snapshot_refuses_a_large_file_before_git_has_a_copy(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.dvc.snapshot.LARGEST_BYTES", 1 << 20)
    (project.root / "weights.bin").write_bytes(os.urandom(2 << 20))
    before = git(project.root, "count-objects")
    with pytest.raises(StageError, match=r"1 files are too large .* first weights\.bin \(2\.1 MB\): .*\.gitignore"):
        snapshot(project)
    assert git(project.root, "count-objects") == before


def test_the_folder_of_licensed_inputs_is_ignored_by_git_and_dvc(repository: Path) -> None:
    from dvc.repo import Repo

    video = "inputs/egoschema/videos/x.mp4"
    assert git(repository, "check-ignore", video) == video
    with Repo(str(repository)) as repo:
        assert repo.dvcignore.is_ignored_file(str(repository / video))


def test_new_files_of_a_source_are_seen_and_what_comes_during_a_run_is_for_the_next(
    project: Project, tmp_path: Path
) -> None:
    videos, manifest, questions = tmp_path / "videos", tmp_path / "list.csv", tmp_path / "questions.jsonl"
    videos.mkdir()
    (videos / "a.mp4").write_bytes(b"a")
    manifest.write_text("video_id,url\n")
    sources = {
        "mine": local_params(videos, questions).model_dump(),
        "web": {
            **local_params(videos, questions).model_dump(exclude={"folder"}), "kind": "urls", "manifest": str(manifest),
            "retries": 0, "timeout_seconds": 1, "max_bytes": 1,
        },
        "unused": None,
    }  # fmt: skip

    def use(seed: int) -> None:
        wanted = {"sources": sources, "ego4d_clips": f"{seed}.json"}
        write_merged(project.root, {"download_videos": wanted})

    use(1)
    assert sources_changed(project) is None  # never run: the stage downloads anyway
    (project.root / "dvc.lock").write_text("{}")
    before = read_sources(project)
    assert set(before) == {"mine", "web"}  # the rendered world reads no file
    (videos / "late.mp4").write_bytes(b"came while the run was on")
    note_sources(project, before)
    assert sources_changed(project) == "new or changed files in source mine"
    note_sources(project, read_sources(project))
    assert sources_changed(project) is None
    manifest.write_text("video_id,url\nb,http://b\n")
    assert sources_changed(project) == "new or changed files in source web"
    use(2)
    note_sources(project, read_sources(project))
    assert sources_changed(project) is None
    use(1)  # DVC has the old download of these params in its run cache: not to be trusted
    assert sources_changed(project) == "new or changed files in source web"
    note_sources(project, read_sources(project))
    (videos / "a.mp4").unlink()
    assert sources_changed(project) == "new or changed files in source mine"


def test_a_walk_is_decided_at_its_start_and_notes_sources_only_behind_a_finished_download(project: Project) -> None:
    listing = project.root / "list.csv"
    listing.write_text("video_id,url\na,http://a\n")
    web = {
        **local_params(Path("x"), Path("q.jsonl")).model_dump(exclude={"folder"}), "kind": "urls",
        "manifest": "list.csv", "retries": 0, "timeout_seconds": 1, "max_bytes": 1,
    }  # fmt: skip
    write_merged(project.root, {"download_videos": {"sources": {"synthetic": None, "web": web}}})
    (project.root / "dvc.lock").write_text("schema: '2.0'\nstages: {}\n")
    graph = Graph(project)
    try:
        walk = Walk(graph, ["extract_frames"], ["extract_frames"])
        assert [stage.name for stage in walk.stages] == ["download_videos", "extract_frames"]
        assert walk.forced == {"download_videos", "extract_frames"}  # the first for its new list
        steps = iter(walk)
        assert next(steps).stage.name == "download_videos"
        assert sources_changed(project) is not None  # who stops here has failed
        listing.write_text("video_id,url\nb,http://b\n")  # came while the download ran
        assert next(steps).number == 2
        assert sources_changed(project) == "new or changed files in source web"  # the next run's
        with pytest.raises(ParamsError, match="unknown stage nonsense"):
            Walk(graph, [], ["nonsense"])
    finally:
        graph.close()


def test_make_run_prints_the_headline_and_a_no_op_is_fast(
    project: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = Graph(project)
    finish(graph)
    graph.close()
    monkeypatch.chdir(project.root)
    started = time.process_time()  # a no-op starts no process; wall time is the neighbours' on a busy machine
    assert main([]) == 0
    assert time.process_time() - started < 3
    out = capsys.readouterr().out
    assert "[4/5] train_grpo: cached" in out and "[4/5] train_grpo: ran" not in out
    assert "accuracy 0.500 [0.410, 0.590] on 120 questions" in out
    assert main(["--set", "train_grpo.learning_rate=7e-4"]) == 0
    out = capsys.readouterr().out
    assert "accuracy 0.700" in out and "[4/5] train_grpo: ran" in out and "[2/5] extract_frames: cached" in out
    assert main(["nonsense"]) == 1
    assert "egovlm: unknown stage nonsense; stages: download_videos, " in capsys.readouterr().err


def test_git_speaks_the_language_in_which_its_messages_are_read(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "tr_TR.UTF-8")
    assert project.git("-c", "alias.say=!printenv LC_ALL", "say") == "C"


def test_a_folder_without_a_graph_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StageError, match=r"no dvc\.yaml"):
        find_project(tmp_path)


def test_a_second_make_ui_does_not_take_the_first_ones_server_for_its_own(project: Project) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(StageError, match=f"port {port} of 127.0.0.1 is in use"):
            LocalServices(project, port).start()


def test_without_a_terminal_a_progress_bar_is_told_every_half_minute(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / ".dvc/tmp/egovlm").mkdir(parents=True)
    seconds = iter([0.0, 1.0, 31.0, 31.0, 40.0])
    show = Terminal(Project(tmp_path), lambda: next(seconds))
    for line in ("render: 1 %", "render: 50 %", "render: 60 %"):  # after 1, 31 and 40 s
        show(line, True)
    assert capsys.readouterr().out == "    render: 50 %\n"


def test_a_failed_stage_is_told_once(
    project: Project, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    behave(project.root, "extract_frames", "fail")
    monkeypatch.chdir(project.root)
    assert main([]) == 1
    out, err = capfd.readouterr()
    assert (out + err).count("clip a@1 has no frames") == 1
    told = "extract_frames: clip a@1 has no frames; run extract_frames. Then run again: finished stages are kept"
    assert err.splitlines()[-1] == f"egovlm: {told}"
