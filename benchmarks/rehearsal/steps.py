"""Steps of a rehearsal: each is done once, leaves a file that says what came out, and is not done again."""

import json
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.rehearsal.place import Failed, LeftOut, Place
from pipeline.errors import EgovlmError


@dataclass(frozen=True)
class Step:
    """One thing to rehearse; `work` returns what came out and raises `Failed` or `LeftOut`."""

    name: str
    title: str
    work: Callable[[Place], dict[str, Any]]
    needs: tuple[str, ...] = ()


@dataclass
class Result:
    """What came out of a step: `ok`, `failed` or `left out`, with the reason."""

    name: str
    title: str
    outcome: str
    seconds: float = 0.0
    reason: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


def run_steps(place: Place, steps: Sequence[Step], say: Callable[[str], object] = print) -> list[Result]:
    """Do what is not done yet, in order; a step whose needs failed is left out."""
    results: dict[str, Result] = {}
    for step in steps:
        result = _earlier(place, step)
        if result is None:
            say(f"{step.name}: {step.title}")
            result = _run(place, step, results)
            _keep(place, result)
        told = f" ({result.reason})" if result.reason else ""
        say(f"{step.name}: {result.outcome} in {result.seconds:.0f} s{told}")
        results[step.name] = result
    return list(results.values())


def _run(place: Place, step: Step, earlier: dict[str, Result]) -> Result:
    lacking = [name for name in step.needs if name in earlier and earlier[name].outcome != "ok"]
    if lacking:
        return Result(step.name, step.title, "left out", reason=f"needs {', '.join(lacking)}")
    started = time.perf_counter()
    outcome, reason, facts = "ok", "", {}
    try:
        facts = step.work(place)
    except LeftOut as error:
        outcome, reason = "left out", str(error)
    except (Failed, EgovlmError, AssertionError) as error:
        outcome, reason = "failed", f"{type(error).__name__}: {error}"
    except Exception as error:  # a fault of the rehearsal itself: said, and the next step goes on
        with place.log.open("a", encoding="utf-8") as log:
            log.write(f"step {step.name} broke:\n{traceback.format_exc()}\n")
        outcome, reason = "failed", f"the step itself broke: {type(error).__name__}: {error}"
    return Result(step.name, step.title, outcome, time.perf_counter() - started, reason, facts)


def _earlier(place: Place, step: Step) -> Result | None:
    path = place.root / "done" / f"{step.name}.json"
    if not path.is_file():
        return None
    found = Result(**json.loads(path.read_text("utf-8")))
    return found if found.outcome == "ok" else None


def _keep(place: Place, result: Result) -> None:
    path = place.root / "done" / f"{result.name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(asdict(result), indent=2) + "\n", "utf-8")
