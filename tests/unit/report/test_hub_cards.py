"""Every card this project writes, read back by the hub's own library and held to the hub's rules for metadata."""

import json
from pathlib import Path

import pytest
from huggingface_hub import DatasetCard, ModelCard
from huggingface_hub.repocard import RepoCard

from pipeline.checks.card import dataset_card
from pipeline.grpo.export import readme
from pipeline.params import load_params
from pipeline.report.card import model_card
from pipeline.report.inputs import ReportInputs

TASKS = {"video-text-to-text", "multiple-choice"}
LICENCES = {"mit", "other"}


def _check(card: RepoCard) -> None:
    """What https://huggingface.co/api/validate-yaml refuses or warns of, without asking it."""
    data = card.data.to_dict()
    assert data["license"] in LICENCES
    assert ("license_name" in data) == (data["license"] == "other")
    assert data["language"] in ("en", ["en"])
    assert all(isinstance(tag, str) and tag for tag in data["tags"])
    assert card.text.strip().startswith("# ")


def test_the_report_s_model_card(inputs: ReportInputs, tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    path.write_text(model_card(inputs), encoding="utf-8")
    card = ModelCard.load(path)
    _check(card)
    (result,) = card.data.eval_results
    assert result.metric_value == inputs.metrics["accuracy"]
    assert card.data.pipeline_tag in TASKS


@pytest.mark.parametrize("recipe", ["tiny", "hub"])
def test_the_card_that_travels_with_the_weights(recipe: str, repository: Path, tmp_path: Path) -> None:
    params = json.loads(load_params(repository / "params.yaml").model_dump_json())
    params["prepare_model"]["recipe"] = recipe
    numbers = {"steps": 160, "chosen_step": 140, "questions_train": 1200, "questions_dev": 60}
    numbers = {**numbers, "dev_accuracy_by_step": {"0": 0.35, "140": 0.85}}
    path = tmp_path / "README.md"
    family = {"model_type": "qwen3_vl", "title": "Qwen3-VL"}
    made = {"params": params, "numbers": numbers, "data": {"data/x": "ab"}, "family": family}
    path.write_text(readme(made), encoding="utf-8")
    card = ModelCard.load(path)
    _check(card)
    assert card.data.base_model == (None if recipe == "tiny" else "Qwen/Qwen2.5-VL-3B-Instruct")
    assert "qwen3_vl" in card.data.tags
    assert ("a tiny Qwen3-VL made by the pipeline" in card.text) == (recipe == "tiny")
    assert "step 140 of 160" in card.text
    assert "On the 60 dev questions" in card.text and "right in 85.0 % (the base: 35.0 %), greedily" in card.text
    assert "learning_rate" in card.text


def test_the_dataset_card(tmp_path: Path) -> None:
    leakage = {"leaky": False, "recordings_in_evaluation": 0, "egoschema_windows": None, "leaks": 0}
    text = dataset_card([], {}, leakage | {"training_questions": 0, "sources": {}}, {}, [], {}, [], {})
    path = tmp_path / "README.md"
    path.write_text(text, encoding="utf-8")
    card = DatasetCard.load(path)
    _check(card)
    assert set(card.data.task_categories) <= TASKS
    assert card.data.size_categories == ["n<1K"]
