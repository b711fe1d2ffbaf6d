"""A real engine (vLLM on CPU) beside our own forward. Skipped where `make engine` was not called."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from pipeline.engine.engine import Engine
from pipeline.engine.equality import check_equality, completion_log_probabilities
from pipeline.errors import ModelError
from pipeline.models.generate import generate
from pipeline.models.policy import Policy
from pipeline.models.sampling import Sampling
from tests.support.engine_policy import make_engine_policy, make_options, needs_engine
from tests.support.random_policy import ask, make_clip

pytestmark = [needs_engine, pytest.mark.slow, pytest.mark.timeout(900)]

CLIPS = {f"c{i}": make_clip(i, frames=1 + i % 6, spacing=[0.5, 2.0, 0.37][i % 3]) for i in range(10)}
WORDS = ["cup", "red", "blue", "first"]
PROMPTS = [ask("what is taken ? " + " ".join(WORDS[: i % 5]), f"c{i % 10}") for i in range(20)] + [ask("what is first")]
GREEDY = Sampling(16, temperature=0.0)


@pytest.fixture(scope="module")
def policies(tmp_path_factory: pytest.TempPathFactory) -> list[Policy]:
    folder = tmp_path_factory.mktemp("policies")
    return [make_engine_policy(folder / str(seed), seed) for seed in (0, 1)]


@pytest.fixture(scope="module")
def engine(policies: list[Policy], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with Engine(make_options(tmp_path_factory.mktemp("engine"))) as engine:
        engine.load(Path(policies[0].folder), "0")
        yield engine


def assert_same(engine: Engine, policy: Policy) -> None:
    """Greedy tokens and log-probabilities are the policy's."""
    theirs = engine.complete(policy, PROMPTS, CLIPS, GREEDY, 1, ["s"] * len(PROMPTS))
    ours = generate(policy, PROMPTS, CLIPS, GREEDY)
    assert [group[0].token_ids for group in theirs] == [group[0].token_ids for group in ours]
    for messages, (completion,) in zip(PROMPTS, theirs, strict=True):
        scores = completion_log_probabilities(policy, messages, CLIPS, completion.token_ids)
        assert completion.log_probabilities == pytest.approx(scores, abs=1e-4)
        assert completion.version == engine.version


def test_it_answers_as_the_policy_does_before_and_after_new_weights(engine: Engine, policies: list[Policy]) -> None:
    for version, policy in (("0", policies[0]), ("1", policies[1]), ("2", policies[0])):
        engine.load(Path(policy.folder), version)
        assert_same(engine, policy)
        assert check_equality(engine, policy, PROMPTS[3], CLIPS) < 1e-4
    with pytest.raises(ModelError, match="the weights or the precision differ"):
        check_equality(engine, policies[1], PROMPTS[3], CLIPS)


def test_a_seed_decides_what_is_sampled(engine: Engine, policies: list[Policy]) -> None:
    sampling = Sampling(12, temperature=1.0)
    first, again, other = (
        engine.complete(policies[0], PROMPTS[:2], CLIPS, sampling, 4, seeds)
        for seeds in (["a", "b"], ["a", "b"], ["c", "d"])
    )
    ids = [[c.token_ids for group in groups for c in group] for groups in (first, again, other)]
    assert ids[0] == ids[1] != ids[2]
    assert len(set(ids[0][:4])) > 1
    assert not set(policies[0].suppressed_token_ids) & {token for row in ids[0] for token in row}


def test_only_its_starter_is_let_in(engine: Engine) -> None:
    assert engine.server is not None
    for path in ("/health", "/v1/models", "/weight_info"):
        assert httpx.get(engine.server.url + path, trust_env=False).status_code == 401


def test_weights_that_are_not_there_are_named_and_leave_no_trace(engine: Engine, policies: list[Policy]) -> None:
    starts = engine.starts
    with pytest.raises(ModelError, match=r"does not take the weights of .*nowhere"):
        engine.load(Path("nowhere"), "9")
    engine.load(Path(policies[0].folder), "0")
    assert_same(engine, policies[0])
    assert engine.starts == starts + 1


def test_kill_9_costs_one_start_and_no_answer(
    engine: Engine, policies: list[Policy], capsys: pytest.CaptureFixture[str]
) -> None:
    engine.load(Path(policies[1].folder), "7")
    assert engine.server is not None
    starts, pid = engine.starts, engine.server.process.pid
    memory = shared_memory_of(pid)
    assert memory
    os.kill(pid, signal.SIGKILL)
    assert_same(engine, policies[1])
    assert engine.starts == starts + 1
    assert "engine: lost: it died" in capsys.readouterr().err
    assert processes_of_group(pid) == []
    assert [path for path in memory if path.exists()] == []


def shared_memory_of(group: int) -> set[Path]:
    """Files of Python's shared memory that the processes of a group have open."""
    rows = [row for pid in processes_of_group(group) for row in Path(f"/proc/{pid}/maps").read_text().splitlines()]
    return {Path(row.split()[-1]) for row in rows if "/dev/shm/psm_" in row}


def processes_of_group(group: int) -> list[int]:
    """Ids of the living processes of a process group."""
    found = subprocess.run(["ps", "-eo", "pid,pgid,stat"], capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in found.splitlines()[1:]]
    return [int(pid) for pid, its_group, state in rows if int(its_group) == group and not state.startswith("Z")]


ORPHAN = """
import sys
from pathlib import Path
from pipeline.engine.engine import Engine
from tests.support.engine_policy import make_options
engine = Engine(make_options(Path(sys.argv[2])))
engine.load(Path(sys.argv[1]), "0")
print(engine.server.process.pid, flush=True)
sys.stdin.read()
"""


def test_it_ends_with_its_starter(policies: list[Policy], tmp_path: Path) -> None:
    starter = subprocess.Popen(
        [sys.executable, "-c", ORPHAN, policies[0].folder, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert starter.stdout is not None
    group = int(starter.stdout.readline())
    assert len(processes_of_group(group)) >= 2
    memory = shared_memory_of(group)
    assert memory
    starter.kill()
    starter.communicate()
    deadline = time.monotonic() + 20
    while processes_of_group(group) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert processes_of_group(group) == []
    assert [path for path in memory if path.exists()] == []
