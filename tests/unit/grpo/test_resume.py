"""A run that is killed and started again ends as if nothing had happened."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from pipeline.errors import ModelError
from pipeline.grpo.run import train
from pipeline.models.policy import load_policy
from tests.support.random_policy import make_random_policy
from tests.support.small_run import small_run

pytestmark = pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.* is deprecated:FutureWarning")
KILLS = 4


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "policy/model.safetensors")


def assert_same(one: Path, two: Path) -> None:
    left, right = weights(one), weights(two)
    assert left.keys() == right.keys()
    assert all(torch.equal(left[name], right[name]) for name in left)
    for name in ("training.json", "config.json", "tokenizer.json"):
        assert (one / "policy" / name).read_bytes() == (two / "policy" / name).read_bytes(), name
    for tsv in sorted((one / "live").rglob("*.tsv")):
        assert tsv.read_bytes() == (two / "live" / tsv.relative_to(one / "live")).read_bytes(), tsv.name


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    train(small_run(folder, max_steps=12))
    torch.set_num_threads(threads)
    return folder


def test_killed_anywhere_the_result_is_the_same(uninterrupted: Path, tmp_path: Path) -> None:
    script = Path(__file__).with_name("kill_runs.py")
    done = subprocess.run([sys.executable, script, tmp_path, str(KILLS)], capture_output=True, text=True, check=True)
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["code"] == 0, done.stderr[-2000:]
    assert told["starts"] >= 2
    assert any(told["checkpoints"][:-1]), "no run lived long enough to leave a checkpoint"
    assert_same(uninterrupted, tmp_path)


def test_the_policy_has_learned_something_to_compare(uninterrupted: Path) -> None:
    base = load_policy(uninterrupted / "policy").model.state_dict()
    first = make_random_policy().model.state_dict()
    moved = [n for n, w in first.items() if not torch.equal(w, base[n])]
    assert len(moved) > 10
    assert not any("visual" in name for name in moved)


def test_checkpoints_are_bounded_and_whole(uninterrupted: Path) -> None:
    folders = sorted((uninterrupted / "checkpoints").glob("checkpoint-*"))
    assert 2 <= len(folders) <= 3  # the newest two and the best
    assert all((f / "manifest.json").is_file() for f in folders)


def test_a_torn_checkpoint_is_left_out_with_a_message(
    uninterrupted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(small_run(tmp_path, max_steps=12))
    newest = sorted((tmp_path / "checkpoints").glob("checkpoint-*"))[-1]
    optimizer = newest / "optimizer.pt"
    optimizer.write_bytes(optimizer.read_bytes()[:-7])
    train(small_run(tmp_path, max_steps=12))
    assert "checkpoint-000012 is skipped: optimizer.pt does not have the hash" in capsys.readouterr().err
    assert_same(uninterrupted, tmp_path)


def test_an_adapter_is_resumed_too(tmp_path: Path) -> None:
    lora = {"rank": 4, "alpha": 8.0, "targets": ["q_proj", "v_proj"]}
    train(small_run(tmp_path / "whole", max_steps=4, lora=lora, learning_rate=0.05))
    train(small_run(tmp_path / "cut", max_steps=4, lora=lora, learning_rate=0.05))
    for step in (3, 4):
        shutil.rmtree(tmp_path / f"cut/checkpoints/checkpoint-{step:06d}")
    train(small_run(tmp_path / "cut", max_steps=4, lora=lora, learning_rate=0.05))
    assert_same(tmp_path / "whole", tmp_path / "cut")


def test_a_checkpoint_of_other_params_is_refused_with_the_keys(tmp_path: Path) -> None:
    train(small_run(tmp_path, max_steps=2))
    with pytest.raises(ModelError, match=r"train_grpo.epsilon \(0.2 -> 0.3\), train_grpo.max_steps \(2 -> 4\)"):
        train(small_run(tmp_path, max_steps=4, epsilon=0.3))


def test_params_without_effect_do_not_matter(tmp_path: Path) -> None:
    train(small_run(tmp_path, max_steps=2))
    numbers = train(small_run(tmp_path, max_steps=2, keep_checkpoints=7, max_seconds=100))
    assert numbers["steps"] == 2
