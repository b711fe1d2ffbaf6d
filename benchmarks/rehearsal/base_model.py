"""A stand-in of the base in the exact file layout of the hub's model, with two thin layers.

Tensors have the hub's names, in two shards with an index; config, generation_config, preprocessor files, templates and
licence stand beside them. Random weights would never earn a reward, so that training would change nothing: the language
model has the habit of naming a letter at random (`habit.py`).
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.rehearsal.habit import CHAIN, give_habit
from benchmarks.rehearsal.stand_in import STAND_INS
from benchmarks.rehearsal.tokenizer import write_tokenizer

LICENCE = "Stand-in of {}: random weights, made by `make rehearse`. Not Qwen's; no licence of Qwen's applies.\n"
CARD = "---\nlibrary_name: transformers\n---\n\nStand-in of {}.\n"
TOKENS = ("endoftext", "im_end", "vision_start", "vision_end", "vision_pad", "image_pad", "video_pad")


def write_base(folder: Path, qwen: Path | None, texts: list[str], family: str) -> dict[str, Any]:
    """Write the model folder; what it is made of.

    Args:
        folder: where to, made if it is not there.
        qwen: the folder of Qwen's tokenizer.json, or None for a small tokenizer learned from `texts`.
        texts: prose.
        family: one of `STAND_INS`.
    """
    import torch
    from transformers import AutoConfig, AutoTokenizer

    from pipeline.models.families import FAMILIES

    folder.mkdir(parents=True, exist_ok=True)
    stand_in = STAND_INS[family]
    spoken = ["".join(CHAIN) * 1000]  # its words are tokens then
    rows = write_tokenizer(folder, qwen, [*texts, *spoken])
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = {name: tokenizer.convert_tokens_to_ids(f"<|{name}|>") for name in TOKENS}
    _write_json(folder / "config.json", stand_in.config(ids, rows))
    torch.manual_seed(0)
    model = FAMILIES[family].loader(AutoConfig.from_pretrained(folder))
    give_habit(model, tokenizer)
    _write_weights(model.to(torch.bfloat16), folder, stand_in.published)
    _write_settings(folder, tokenizer)
    for name, content in stand_in.files.items():
        _write_json(folder / name, content)
    (folder / "LICENSE").write_text(LICENCE.format(stand_in.name), "utf-8")
    (folder / "README.md").write_text(
        f"---\nlibrary_name: transformers\n---\n\nStand-in of {stand_in.name}.\n", "utf-8"
    )
    count = sum(weight.numel() for weight in model.parameters())
    return {"name": stand_in.name, "parameters": count, "embedding_rows": rows, "tokens": len(tokenizer)}


def _write_weights(model: Any, folder: Path, published: Callable[[str], str]) -> None:
    """Two shards and their index, under the names that the hub's files have; a tied head is not written."""
    from safetensors.torch import save_file

    named = model.state_dict().items()
    state = {published(name): weight.contiguous() for name, weight in named if name != "lm_head.weight"}
    shards = ([n for n in state if "embed_tokens" in n], [n for n in state if "embed_tokens" not in n])
    places: dict[str, str] = {}
    for number, names in enumerate(shards, 1):
        file = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        save_file({name: state[name] for name in names}, folder / file, metadata={"format": "pt"})
        places |= dict.fromkeys(names, file)
    total = sum(weight.nbytes for weight in state.values())
    index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(places.items()))}
    _write_json(folder / "model.safetensors.index.json", index)


def _write_settings(folder: Path, tokenizer: Any) -> None:
    generation = {
        "bos_token_id": tokenizer.pad_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "do_sample": True,
        "eos_token_id": [tokenizer.eos_token_id, tokenizer.pad_token_id],
        "repetition_penalty": 1.05,
        "temperature": 0.000001,
        "transformers_version": "4.49.0",
    }
    _write_json(folder / "generation_config.json", generation)
    (folder / ".gitattributes").write_text("*.safetensors filter=lfs diff=lfs merge=lfs -text\n", "utf-8")


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", "utf-8")
