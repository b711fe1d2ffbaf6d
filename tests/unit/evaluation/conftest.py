"""A random Qwen2.5-VL in memory and on disk."""

from pathlib import Path

import pytest

from pipeline.models.policy import Policy, load_policy
from tests.support.random_policy import make_random_policy


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the random model."""
    folder = tmp_path_factory.mktemp("tiny")
    policy = make_random_policy()
    policy.model.save_pretrained(folder)
    policy.tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny(tiny_folder: Path) -> Policy:
    """The random model, loaded."""
    return load_policy(tiny_folder)
