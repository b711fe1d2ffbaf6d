"""A base from elsewhere and the policy trained from it: what another program reads in their folders."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForImageTextToText, GenerationConfig

from pipeline.errors import ModelError
from pipeline.grpo.run import train
from pipeline.models.families import FAMILIES
from pipeline.models.folder import stored_dtype
from pipeline.models.policy import load_policy
from pipeline.params import load_params
from pipeline.reports import StageReport
from pipeline.stages import prepare_model
from tests.support.random_policy import make_random_policy
from tests.support.small_run import small_run

pytestmark = pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.* is deprecated:FutureWarning")

# As Qwen/Qwen2.5-VL-3B-Instruct has them, patches apart.
PREPROCESSOR = {"min_pixels": 3136, "max_pixels": 12845056, "patch_size": 4, "temporal_patch_size": 2, "merge_size": 2}
GENERATION = {"do_sample": True, "temperature": 1e-6, "repetition_penalty": 1.05, "eos_token_id": [2, 0]}
SMALL = {
    "preprocessor_config.json": json.dumps(PREPROCESSOR, indent=4),
    "generation_config.json": json.dumps(GENERATION),
    "LICENSE": "Qwen RESEARCH LICENSE AGREEMENT\n",
    "vocab.json": "{}",
    "chat_template.json": json.dumps({"chat_template": "of the processor"}),
    "README.md": "# the base's card\n",
}


@pytest.fixture
def hub(tmp_path: Path) -> Path:
    """A folder as the hub has them: bfloat16 in shards, with files that no library writes."""
    folder = tmp_path / "hub"
    policy = make_random_policy(dtype=torch.bfloat16)
    policy.model.save_pretrained(folder, max_shard_size="50KB")
    policy.tokenizer.save_pretrained(folder)
    for name, text in SMALL.items():
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def base(hub: Path, tmp_path: Path, repository: Path) -> Path:
    return prepare(hub, tmp_path, repository)


def prepare(hub: Path, tmp_path: Path, repository: Path) -> Path:
    params = load_params(repository / "params.yaml")
    recipe = params.prepare_model.model_copy(
        update={"recipe": "hub", "hub": params.prepare_model.hub.model_copy(update={"model": str(hub)})}
    )
    report = StageReport("prepare_model")
    prepare_model.run(params.model_copy(update={"prepare_model": recipe}), tmp_path, report)
    assert report.values["dtype"] == "bfloat16"
    return tmp_path / "data/models/base"


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_base_is_the_hubs_folder_byte_for_byte(hub: Path, base: Path) -> None:
    assert len(list(hub.glob("*.safetensors"))) > 1
    assert files(base) == files(hub)


@pytest.mark.parametrize("family", list(FAMILIES))
def test_processor_files_that_a_base_lacks_are_written_and_others_left(
    family: str, tmp_path: Path, repository: Path
) -> None:
    """A video processor must not fall back to another family's colours because a folder lacks its file."""
    policy = make_random_policy(family=family)
    bare = tmp_path / "hub"
    policy.model.to(torch.bfloat16).save_pretrained(bare)
    policy.tokenizer.save_pretrained(bare)
    written = {
        name: json.loads(data)
        for name, data in files(prepare(bare, tmp_path, repository)).items()
        if name in policy.family.files
    }
    assert written == policy.family.processor_files(policy.vision)
    assert all(content["image_mean"] == list(policy.family.image_mean) for content in written.values())
    assert files(bare).items() <= files(tmp_path / "data/models/base").items()


def trained(base: Path, folder: Path, **overrides: Any) -> Path:
    run = small_run(folder, max_steps=2, dev_every=2, warmup_steps=0, **overrides)
    train(replace(run, policy=load_policy(base), cache=None, dev=[]))
    return folder / "policy"


@pytest.mark.parametrize("lora", [None, {"rank": 4, "alpha": 8.0, "targets": ["q_proj", "v_proj"]}])
def test_a_policy_differs_from_its_base_in_weights_and_in_what_it_says_of_itself(
    base: Path, tmp_path: Path, lora: Any
) -> None:
    policy = trained(base, tmp_path / "run", cache_vision=False, lora=lora)
    ours, theirs = files(policy), files(base)
    own = {"README.md", "generation_config.json", "training.json"}
    small = {name for name in theirs if ".safetensors" not in name} - own
    assert small >= {"LICENSE", "preprocessor_config.json", "config.json", "tokenizer.json", "vocab.json"}
    assert {name for name in small if ours.get(name) != theirs[name]} == set()
    assert {name for name in ours if ".safetensors" not in name} - small == own
    generation = GenerationConfig.from_pretrained(policy)
    assert generation.eos_token_id == [2, 0]
    assert json.loads(ours["generation_config.json"]).keys().isdisjoint({"temperature", "repetition_penalty"})
    assert not generation.do_sample


def test_weights_are_stored_as_the_bases_are(base: Path, tmp_path: Path) -> None:
    policy = trained(base, tmp_path / "run")
    assert stored_dtype(policy) is stored_dtype(base) is torch.bfloat16
    weights = load_file(policy / "model.safetensors")
    names = {name for path in base.glob("*.safetensors") for name in load_file(path)}
    assert set(weights) == names
    assert {w.dtype for w in weights.values()} == {torch.bfloat16}
    plain = AutoModelForImageTextToText.from_pretrained(policy, dtype="auto")
    assert plain.dtype == torch.bfloat16


def test_a_folder_without_weights_has_no_precision(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="has no weights in safetensors"):
        stored_dtype(tmp_path)
