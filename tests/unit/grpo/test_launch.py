"""Two processes compute what one computes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pipeline.errors import ParamsError, StageError
from pipeline.grpo.launch import collect_report, launcher_command, run_workers, write_report
from pipeline.grpo.sharding import wrap_decoder_layers
from pipeline.models.families import FAMILIES
from pipeline.reports import StageReport
from tests.support.random_policy import make_random_policy

CONFIGS = Path(__file__).resolve().parents[3] / "configs"


def test_commands_are_lists_of_words() -> None:
    command = launcher_command("torchrun --nproc_per_node 2 --tee '3 4'", "a.b")
    assert command[1:] == ["-m", "torch.distributed.run", "--nproc_per_node", "2", "--tee", "3 4", "-m", "a.b"]
    with pytest.raises(ParamsError, match="must start with one of torchrun, accelerate, found 'rm -rf /'"):
        launcher_command("rm -rf /", "a.b")


def test_a_report_survives_the_way_home(tmp_path: Path) -> None:
    told, heard = StageReport("train_grpo"), StageReport("train_grpo")
    told.count("question", "ok", 3)
    told.quarantine("question", "q1", "no_frames", "v@1")
    told.values["steps"] = 4
    write_report(tmp_path / "report.json", told)
    collect_report(tmp_path / "report.json", heard)
    assert heard.as_dict() == told.as_dict()
    assert not list(tmp_path.iterdir())


def test_a_failing_worker_fails_the_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "pipeline.grpo.launch.launcher_command", lambda *_: [sys.executable, "-c", "raise SystemExit(3)"]
    )
    with pytest.raises(StageError, match="exited with code 3"):
        run_workers("torchrun", "m", tmp_path, tmp_path / "report.json", StageReport("train_grpo"))


@pytest.mark.slow
def test_sharded_weights_compute_what_whole_ones_compute() -> None:
    """FSDP2 over two processes that write completions of different lengths: no process waits for another in vain."""
    script = Path(__file__).with_name("sharded_rollout.py")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=280)
    told = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert sorted(t["rank"] for t in told) == [0, 1]
    assert len({max(t["lengths"]) for t in told}) == 2
    for t in told:
        assert t["same_tokens"] and t["log_probs"] < 1e-6 and t["gradients"] < 1e-5, t


@pytest.mark.parametrize("family", list(FAMILIES))
def test_fsdps_pieces_are_the_familys_layers_unless_the_launcher_names_others(
    family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from accelerate import FullyShardedDataParallelPlugin

    monkeypatch.setenv("FSDP_TRANSFORMER_CLS_TO_WRAP", "")
    monkeypatch.delenv("FSDP_TRANSFORMER_CLS_TO_WRAP")
    policy = make_random_policy(family=family)
    wrap_decoder_layers(policy)
    plugin = FullyShardedDataParallelPlugin(fsdp_version=2, auto_wrap_policy="transformer_based_wrap")
    assert plugin.transformer_cls_names_to_wrap == [type(policy.language_model.layers[0]).__name__]
    monkeypatch.setenv("FSDP_TRANSFORMER_CLS_TO_WRAP", "Other")
    wrap_decoder_layers(policy)
    assert os.environ["FSDP_TRANSFORMER_CLS_TO_WRAP"] == "Other"


@pytest.mark.parametrize("name", sorted(p.name for p in CONFIGS.glob("*_gpu.yaml")))
def test_shipped_configurations_are_what_accelerate_reads(name: str) -> None:
    from accelerate.commands.config.config_args import load_config_from_file

    config = load_config_from_file(str(CONFIGS / name))
    written = yaml.safe_load((CONFIGS / name).read_text())
    assert config.num_processes == written["num_processes"] == 8
    assert str(config.mixed_precision) == "bf16"
    assert name.startswith({"MULTI_GPU": "ddp", "FSDP": "fsdp", "DEEPSPEED": "zero"}[written["distributed_type"]])
