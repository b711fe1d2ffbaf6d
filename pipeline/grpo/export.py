"""A trained policy as a plain `from_pretrained` folder."""

import shutil
from pathlib import Path
from typing import Any

from pipeline.models.policy import Policy
from pipeline.reports import write_json

COPIED = ("preprocessor_config.json", "video_preprocessor_config.json", "chat_template.json", "chat_template.jinja")


def export_policy(policy: Policy, folder: Path, card: dict[str, Any], state: dict[str, Any] | None = None) -> None:
    """Write weights (safetensors; a LoRA adapter merged), configuration, tokenizer and `training.json`, whole or not at
    all. `state` holds the weights where the model itself has only a piece of them."""
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    model = policy.model.merge_and_unload() if hasattr(policy.model, "merge_and_unload") else policy.model
    model.save_pretrained(partial, safe_serialization=True, state_dict=state)
    policy.tokenizer.save_pretrained(partial)
    for name in COPIED:
        if policy.folder and (Path(policy.folder) / name).is_file() and not (partial / name).exists():
            shutil.copyfile(Path(policy.folder) / name, partial / name)
    write_json(partial / "training.json", card)
    shutil.rmtree(folder, ignore_errors=True)
    partial.replace(folder)
