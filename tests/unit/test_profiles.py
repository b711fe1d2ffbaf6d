"""Overlays on params.yaml: comments stay, the result is checked before it is written, numbers survive every reader."""

import shutil
from pathlib import Path

import pytest
import yaml
from ruamel.yaml import YAML

from pipeline.errors import ParamsError
from pipeline.params import load_params
from pipeline.profiles import apply_profile, merge_overlay, nested, profile_names, read_profile

ROOT = Path(__file__).resolve().parents[2]

TEXT = """\
# the values
train_grpo:
  learning_rate: 5.0e-4   # per step
  betas: [0.9, 0.99]
sources:
  world: {kind: synthetic, videos: 3}   # rendered
"""


def _no_check(raw: object) -> None:
    pass


@pytest.fixture
def project(tmp_path: Path) -> Path:
    shutil.copy(ROOT / "params.yaml", tmp_path / "params.yaml")
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles/slow.yaml").write_text("train_grpo: {learning_rate: 1.0e-6}\n")
    (tmp_path / "profiles/typo.yaml").write_text("train_grpo: {learning_rat: 1.0e-6}\n")
    (tmp_path / "profiles/list.yaml").write_text("- 1\n")
    return tmp_path


def test_values_change_and_everything_else_stays() -> None:
    merged = merge_overlay(TEXT, nested({"train_grpo.learning_rate": 1e-6, "train_grpo.betas": [0.5]}), check=_no_check)
    lines = merged.splitlines()
    assert lines[0] == "# the values" and lines[2].startswith("  learning_rate: 1.0e-06") and "# per step" in lines[2]
    assert lines[-1] == TEXT.splitlines()[-1]
    for read in (yaml.safe_load, YAML(typ="safe").load):  # YAML 1.1 takes 1e-06 for a string
        assert read(merged)["train_grpo"] == {"learning_rate": 1e-6, "betas": [0.5]}


def test_a_source_of_another_kind_replaces_and_null_switches_off() -> None:
    other = {"sources": {"world": {"kind": "local", "folder": "x"}}}
    assert yaml.safe_load(merge_overlay(TEXT, other, check=_no_check))["sources"]["world"] == {
        "kind": "local",
        "folder": "x",
    }
    off = merge_overlay(TEXT, {"sources": {"world": None}}, {"sources": {"mine": {"kind": "local"}}}, check=_no_check)
    assert yaml.safe_load(off)["sources"] == {"world": None, "mine": {"kind": "local"}}


def test_a_profile_is_checked_before_it_is_written(project: Path) -> None:
    before = (project / "params.yaml").read_bytes()
    assert profile_names(project) == ["list", "slow", "typo"]
    with pytest.raises(ParamsError, match=r"unknown key train_grpo\.learning_rat; did you mean learning_rate"):
        apply_profile(project, "typo")
    with pytest.raises(ParamsError, match="must be a mapping"):
        apply_profile(project, "list")
    for name in ("none", "../slow", ""):
        with pytest.raises(ParamsError, match="profiles: list, slow, typo"):
            read_profile(project, name)
    assert (project / "params.yaml").read_bytes() == before
    apply_profile(project, "slow")
    assert load_params(project / "params.yaml").train_grpo.learning_rate == 1e-6
    assert (project / "params.yaml").read_text().count("  # ") == before.decode().count("  # ")


@pytest.mark.parametrize("name", profile_names(ROOT))
def test_every_shipped_profile_is_valid(name: str) -> None:
    merge_overlay((ROOT / "params.yaml").read_text(), read_profile(ROOT, name))


def test_contradicting_overrides_are_refused() -> None:
    with pytest.raises(ParamsError, match=r"override a\.b contradicts an override of a"):
        nested({"a": 1, "a.b": 2})
    assert nested({"a.b": 1, "a.c.d": 2}) == {"a": {"b": 1, "c": {"d": 2}}}
