"""Shared fixtures: the repository root, the real-data folder beside it, quiet defaults."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

from pipeline.environment import apply_defaults
from tests.support.skipped import VARIABLE, closing_line, left_out, plain
from tests.toy.project import Project, make_project

apply_defaults()

# `make test` tries the same inputs each time, so that a red run means a changed program; `make faults` draws new ones.
settings.register_profile("repeatable", derandomize=True)
if not os.environ.get("EGOVLM_SLOW"):
    settings.load_profile("repeatable")

ROOT = Path(__file__).resolve().parents[1]


SHARED = {"whole_road", "machine"}  # a finished project and a running server, which take a minute to make
HEAVY = ("tests/flows", "tests/toy", "tests/stages", "tests/extending", "tests/unit/grpo")


@pytest.hookimpl(tryfirst=True)  # before xdist reads the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With several processes, tests that share the costly fixtures stay together; the others go to any free worker.

    What takes long begins first, so that no process is left alone with it at the end.
    """
    for item in items:
        where = str(item.path.relative_to(ROOT))
        group = "road" if _shares(item) else where
        item.add_marker(pytest.mark.xdist_group(group))
        if "whole_road" in getattr(item, "fixturenames", ()) and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(900))  # the first of them drives it, on a machine that may be busy
    items.sort(key=lambda item: (not _shares(item), not str(item.path.relative_to(ROOT)).startswith(HEAVY)))  # stable


def _shares(item: pytest.Item) -> bool:
    return not SHARED.isdisjoint(getattr(item, "fixturenames", ()))


def _seen(config: pytest.Config, outcomes: tuple[str, ...]) -> list[pytest.TestReport]:
    reporter = config.pluginmanager.getplugin("terminalreporter")
    found = reporter.stats if reporter else {}
    return [report for outcome in outcomes for report in found.get(outcome, []) if hasattr(report, "nodeid")]


def _skips(config: pytest.Config) -> list[tuple[str, str]]:
    reports = [r for r in _seen(config, ("skipped",)) if isinstance(r.longrepr, tuple)]
    return [(report.nodeid, plain(report.longrepr[2])) for report in reports]


def _left_out(config: pytest.Config) -> list[str]:
    ran = [report.nodeid for report in _seen(config, ("passed", "failed"))]
    return left_out(ran, _skips(config)) if os.environ.get(VARIABLE) else []


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """If nothing may be left out, a run that left something out fails."""
    if exitstatus == pytest.ExitCode.OK and not hasattr(session.config, "workerinput") and _left_out(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Skipped is not passed: say how many and why."""
    terminalreporter.write_line(closing_line(_skips(terminalreporter.config)))
    for line in _left_out(terminalreporter.config):
        terminalreporter.write_line(f"must run here: {line}", red=True)


@pytest.fixture(scope="session")
def repository() -> Path:
    """Root of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real data that may lie beside the repository; tests that need it are skipped if it is absent."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip("no ../shared folder with real data beside the repository")
    return folder


# Small enough for a minute on one core; every stage does all it does at full size.
TOY = {
    "download_videos.sources.synthetic.videos_train": 10,
    "download_videos.sources.synthetic.videos_dev": 3,
    "download_videos.sources.synthetic.videos_test": 6,
    "prepare_model.tiny.clips": 64,
    "prepare_model.tiny.held_out_clips": 8,
    "prepare_model.tiny.steps.lookup": 5,
    "prepare_model.tiny.steps.see": 5,
    "prepare_model.tiny.steps.combine": 10,
    "prepare_model.tiny.steps.degrade": 4,
    "train_grpo.max_steps": 4,
    "train_grpo.warmup_steps": 1,
    "train_grpo.dev_every": 2,
    "machine.save_steps": 2,
    "evaluate_egoschema.bootstrap_draws": 500,
}


@pytest.fixture(scope="session")
def whole_road(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project in which `dvc repro` has run once, from videos to the report.

    Trained on rendered videos, tested on rendered ones and, if they are beside the repository, on real clips.
    """
    project = make_project(repository, tmp_path_factory.mktemp("road"))
    project.change(TOY)
    clips = repository.parent / "shared/real_clips"
    if clips.is_dir():
        project.change(
            {"download_videos.sources": {**project.params()["download_videos"]["sources"], "real": _real(clips)}}
        )
    project.run("dvc", "repro")
    return project


def _real(clips: Path) -> dict[str, str | None]:
    return {
        "kind": "local",
        "folder": str(clips),
        "questions": str(clips / "annotations.jsonl"),
        "format": "native",
        "frame_rate": None,
        "split": "test",
        "licence": "for tests only",
    }
