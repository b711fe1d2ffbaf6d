"""`make run`: the whole DVC graph on this machine, live in the terminal. No server, no Prefect: a no-op is fast."""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from flows.dvc.ahead import Ahead, started_ahead
from flows.dvc.errors import is_told_later
from flows.dvc.experiments import (
    check_name,
    find_experiment,
    name_of,
    save_experiment,
    send_experiments,
    unnamed,
    unsent,
)
from flows.dvc.explain import explained
from flows.dvc.graph import TRAIN, Graph
from flows.dvc.lock import LockHolder, heartbeat, project_lock
from flows.dvc.overlay import overlaid
from flows.dvc.project import Project, find_project
from flows.dvc.publishing import Destination, destination, sent
from flows.dvc.reproduce import StageOutcome, is_noise
from flows.dvc.walk import Step, Walk
from flows.preflight import stop_at_preflight
from flows.summary import headline, read_report
from pipeline.errors import EgovlmError, ParamsError
from pipeline.layout import METRICS, PAGE
from pipeline.params import load_params, parse_params

PARAMS = "params.yaml"
WAIT_SECONDS = 600.0
FILE_BAR_SECONDS = 30.0  # between lines of a progress bar when there is no terminal


class Terminal:
    """Shows a stage's output. A progress bar is redrawn in place on a terminal, and written now and then to a file."""

    def __init__(self, project: Project, clock: Callable[[], float] = time.monotonic) -> None:
        self.project, self.clock = project, clock
        self._bar = False
        self._told = clock()

    def __call__(self, text: str, is_progress: bool) -> None:
        """Take one line."""
        heartbeat(self.project)
        in_place = is_progress and sys.stdout.isatty()
        if (
            is_noise(text)
            or is_told_later(text)
            or (is_progress and not in_place and self.clock() < self._told + FILE_BAR_SECONDS)
        ):
            return
        start = "\r\x1b[K" if self._bar else ""
        print(f"{start}    {text}", end="" if in_place else "\n", flush=True)
        self._bar, self._told = in_place, self.clock()


def run(
    project: Project, targets: Sequence[str], force: bool, experiment: str | None = None, unchecked: bool = False
) -> None:
    """Bring the stages up to date, keep the run as an experiment, and print the headline."""
    started = time.perf_counter()
    check_name(experiment)
    to = destination(project)  # refuse a missing remote before hours of work, not after
    graph = Graph(project)
    try:
        walk = Walk(graph, targets, force)
        if not unchecked:
            stop_at_preflight(graph, walk.stages, walk.forced, (), print)
        with started_ahead(graph, walk) as ahead:
            for step in walk:
                _one(graph, step, ahead)
        kept = [] if targets else _keep(graph, experiment, to)
    finally:
        graph.close()
    _print_metrics(project)
    print(f"\n{headline(project)}\n{len(walk.stages)} stages up to date in {time.perf_counter() - started:.1f} s")
    print(*kept, sep="\n", end="\n" if kept else "")
    if (project.root / PAGE).is_file():
        print(f"Report: {(project.root / PAGE).as_uri()}")


def _one(graph: Graph, step: Step, ahead: Ahead) -> None:
    started, stage, number = time.perf_counter(), step.stage, f"[{step.number}/{step.total}]"
    early = stage.name in ahead.names
    print(f"{number} {stage.name}{', started with the run' if early else ''}", flush=True)
    outcome = ahead.reproduce(graph, stage.name, Terminal(graph.project), step.forced)
    took = (
        ""
        if outcome is StageOutcome.CACHED
        else f"{', waited for it' if early else ' in'} {time.perf_counter() - started:.1f} s"
    )
    print(f"{number} {stage.name}: {outcome}{took}", flush=True)
    if (
        stage.name == TRAIN
        and outcome is StageOutcome.CACHED
        and load_params(graph.project.root / PARAMS).machine.wandb_project
    ):
        print(
            "    nothing new is logged to wandb: train_grpo is up to date (`egovlm run train_grpo --force` trains "
            "again)"
        )


def _keep(graph: Graph, experiment: str | None, to: Destination | None) -> list[str]:
    """Save the finished run as an experiment and send it if `publish` says so; returns what was done, as sentences."""
    try:
        with explained():
            return _kept(graph, experiment, to)
    except EgovlmError as error:  # the result is complete; only its experiment is missing, or was not sent
        return [f"egovlm: {error}"]


def _kept(graph: Graph, experiment: str | None, to: Destination | None) -> list[str]:
    project = graph.project
    commit = find_experiment(project)
    is_new = commit is None
    commit = commit or save_experiment(graph, *unnamed(project, experiment))[0]
    name = name_of(project, commit)
    told = f"saved as experiment {name}"
    if to is None:
        return [f"{told}, on this machine only: `dvc exp show` shows runs side by side"]
    refs = send_experiments(project, [*unsent(project), *([name] if is_new else [])], to, Terminal(project))
    return [told, sent(refs, to)]


def _print_metrics(project: Project) -> None:
    metrics = read_report(project.root / METRICS)
    width = max((len(name) for name in metrics), default=0)
    print()
    for name, value in metrics.items():
        print(f"  {name:<{width}}  {value:.4g}" if isinstance(value, float) else f"  {name:<{width}}  {value}")


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m flows.run", description=__doc__)
    parser.add_argument("targets", nargs="*", help="stages to bring up to date, with what they need (default: all)")
    parser.add_argument("--force", action="store_true", help="run stages even if nothing changed")
    parser.add_argument("--experiment", metavar="NAME", help="name of the run in `dvc exp show`")
    parser.add_argument("--unchecked", action="store_true", help="start even if the preflight check finds a problem")
    parser.add_argument("--profile", help="apply profiles/PROFILE.yaml to this run only")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="set a value of params.yaml for this run only"
    )
    return parser.parse_args(arguments)


def _override(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals:
        raise ParamsError(f"--set takes KEY=VALUE, found {text!r}")
    try:
        return key, json.loads(value)
    except ValueError:  # a plain word
        return key, value


def _waiting(holder: LockHolder | None) -> None:
    print(f"waiting: {f'run {holder.run}' if holder else 'another run'} holds this project", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; 0, 1 for an expected error, 130 for Ctrl-C."""
    options = _parse(arguments)
    try:
        project = find_project()
        with explained(), project_lock(project, "make-run", WAIT_SECONDS, _waiting):
            overrides = dict(_override(text) for text in options.set)
            with overlaid(project, options.profile, overrides, parse_params):
                run(project, options.targets, options.force, options.experiment, options.unchecked)
    except EgovlmError as error:
        print(f"egovlm: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\negovlm: interrupted; run it again to resume: finished stages are kept", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
