"""`egovlm push` against a loopback hub, by huggingface_hub's own client: what arrives, what is refused."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from pipeline.cli.push import files_to_send
from pipeline.errors import ArtifactError
from pipeline.report.card import model_card
from pipeline.report.inputs import ReportInputs
from tests.support.hub_server import Hub, hub


@pytest.fixture
def policy(inputs: ReportInputs, tmp_path: Path) -> Path:
    folder = tmp_path / "policy"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "LICENSE").write_text("mit")
    (folder / "README.md").write_text("the card of the training alone")
    (folder / "model.safetensors").write_bytes(bytes(range(256)) * 40)
    (tmp_path / "card.md").write_text(model_card(inputs), encoding="utf-8")
    return folder


def _push(policy: Path, server: Hub, *options: str, says: str = "") -> subprocess.CompletedProcess[str]:
    names = ["--folder", str(policy), "--card", str(policy.parent / "card.md")]
    environment = {**os.environ, "HF_ENDPOINT": server.address, "HF_TOKEN": "hf_secret", "HF_HUB_DISABLE_XET": "1"}
    command = [sys.executable, "-m", "pipeline", "push", "acme/egovlm", *names, *options]
    return subprocess.run(
        command, env=environment, input=says, capture_output=True, text=True, check=False, timeout=120
    )


def test_policy_and_card_arrive_in_one_commit(policy: Path) -> None:
    with hub() as server:
        done = _push(policy, server, "--yes")
        assert done.returncode == 0, done.stderr
        assert "hf_secret" not in done.stdout + done.stderr
        assert "4 files, 0.0 MB, to acme/egovlm (private if it is new)" in done.stderr
        assert done.stdout.strip() == f"{server.address}/acme/egovlm/commit/1"
        assert set(server.files) == {"config.json", "LICENSE", "README.md", "model.safetensors"}
        assert server.files["model.safetensors"] == bytes(range(256)) * 40
        assert ModelCard(server.files["README.md"].decode()).data.model_name == "egovlm-policy"
        assert (server.created[0]["name"], server.created[0]["visibility"], server.commits) == (
            "egovlm",
            "private",
            1,
        )


def test_nothing_is_sent_without_a_yes_or_against_the_hubs_will(policy: Path) -> None:
    with hub() as server:
        assert _push(policy, server, says="n\n").returncode != 0
        assert server.created == []
        server.refuses = True
        refused = _push(policy, server, "--yes")
        assert refused.returncode == 1 and server.files == {}
        assert refused.stderr.count("\n") <= 4 and "check HF_TOKEN and your rights on acme/egovlm" in refused.stderr


def test_a_card_that_the_hub_refuses_keeps_the_weights_here(policy: Path) -> None:
    (policy.parent / "card.md").write_text("---\nlanguage: en\n---\n\n# a card without a licence\n")
    with hub() as server:
        done = _push(policy, server, "--yes")
        assert done.returncode == 1 and "license is required" in done.stderr
        assert server.objects == {} and server.commits == 0


def test_other_kinds_of_files_and_missing_ones_are_named(policy: Path, tmp_path: Path) -> None:
    (policy / "optimizer.pt").write_bytes(b"pickle")
    with pytest.raises(ArtifactError, match=r"optimizer\.pt, which is never sent"):
        files_to_send(policy, tmp_path / "card.md")
    with pytest.raises(ArtifactError, match="no policy in"):
        files_to_send(tmp_path / "nowhere", tmp_path / "card.md")
    (policy / "optimizer.pt").unlink()
    with pytest.raises(ArtifactError, match="no model card at"):
        files_to_send(policy, tmp_path / "none.md")
