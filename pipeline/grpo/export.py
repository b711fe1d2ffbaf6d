"""A trained policy as a plain `from_pretrained` folder."""

from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import ModelCardData
from transformers import GenerationConfig

from pipeline.files import replacing_folder, write_json
from pipeline.models.folder import copy_small, stored_dtype
from pipeline.models.policy import Policy

# Written here, or useless for a policy: the base model's card, and a generation config that it was not trained with.
_OWN = frozenset({"README.md", "generation_config.json", "training.json"})


def export_policy(
    policy: Policy, folder: Path, card: dict[str, Any], text: str, state: dict[str, Any] | None = None
) -> None:
    """Write weights (safetensors, with a LoRA adapter merged), `training.json` (`card`) and the model card `text`,
    whole or not at all. `state` holds the weights if the model itself has only a shard of them.

    Weights are stored in the precision of the base model's files, and the model is left in it. Every small file of
    the base (tokenizer, templates, processors, licence) is copied unchanged, so that other programs give base and
    policy the same pixels and tokens. The generation config is the one used for scores: greedy, without penalties.
    """
    model = policy.model.merge_and_unload() if hasattr(policy.model, "merge_and_unload") else policy.model
    base = Path(policy.folder) if policy.folder else None
    if base is not None:
        dtype = stored_dtype(base)
        if state is None:
            model.to(dtype)
        else:
            state = {k: v.to(dtype) if v.is_floating_point() else v for k, v in state.items()}
    model.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]
        do_sample=False, eos_token_id=list(policy.eos_token_ids), pad_token_id=policy.pad_token_id
    )
    with replacing_folder(folder) as partial:
        model.save_pretrained(partial, safe_serialization=True, state_dict=state)
        if base is None:
            policy.tokenizer.save_pretrained(partial)
        else:
            copy_small(base, partial, _OWN)
        write_json(partial / "training.json", card)
        (partial / "README.md").write_text(text, encoding="utf-8")


def readme(card: dict[str, Any]) -> str:
    """The model card beside the weights, in the hub's format: what is known when training ends.

    Scores come later: data/reports/model_card.md has them, with controls, licences of the data and leakage.
    """
    params, numbers, family = card["params"], card["numbers"], card["family"]
    made = params["prepare_model"]
    is_tiny = made["recipe"] == "tiny"
    data = ModelCardData(
        language="en",
        license="mit" if is_tiny else "other",
        license_name=None if is_tiny else "licences of the base model and of the training data",
        library_name="transformers",
        pipeline_tag="video-text-to-text",
        base_model=None if is_tiny else made["hub"]["model"],
        tags=["egocentric-video", "grpo", "multiple-choice-video-question-answering", family["model_type"]],
    )
    told = _dev_score(numbers)
    stand_in = f"a tiny {family['title']} made by the pipeline, which stands in for a real one"
    base = stand_in if is_tiny else made["hub"]["model"]
    recipe = yaml.safe_dump({name: params[name] for name in ("seed", "prompts", "train_grpo")}, sort_keys=False)
    hashes = "\n".join(f"- `{path}` {digest}" for path, digest in card["data"].items())
    return f"""---
{data.to_yaml()}
---

# egovlm policy

Trained by GRPO alone from {base}: step {numbers["chosen_step"]} of {numbers["steps"]}, on {numbers["questions_train"]}
questions. {told}

Its scores on held-out questions with intervals and controls, the licences of its data and the leakage checks are in the
full card, `data/reports/model_card.md`. It is written after evaluation, when this folder is already complete.

## Recipe

```yaml
{recipe}```

## Trained on

{hashes}
"""


def _dev_score(numbers: dict[str, Any]) -> str:
    """What training itself measured."""
    by_step, chosen = numbers["dev_accuracy_by_step"], str(numbers["chosen_step"])
    if chosen not in by_step:
        return "No dev questions were asked during training."
    before = f" (the base: {100 * by_step['0']:.1f} %)" if "0" in by_step else ""
    return (
        f"On the {numbers['questions_dev']} dev questions, by which the step was chosen, it is right in "
        f"{100 * by_step[chosen]:.1f} %{before}, greedily."
    )
