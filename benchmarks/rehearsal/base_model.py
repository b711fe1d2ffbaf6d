"""A Qwen2.5-VL in the exact file layout of the hub's 3B, with two thin layers.

Tensors have the hub's names, in two shards with an index; config, generation_config, preprocessor_config, templates and
licence stand beside them. Random weights would never earn a reward, so that training would change nothing: the language
model has the habit of naming a letter at random (`habit.py`).
"""

import json
from pathlib import Path
from typing import Any

from benchmarks.rehearsal.habit import CHAIN, give_habit
from benchmarks.rehearsal.tokenizer import write_tokenizer

HUB_NAME, HUB_COMMIT = (
    "Qwen/Qwen2.5-VL-3B-Instruct",
    "66285546d2b821cf421d4f5eb2576359d3770cd3",
)  # as profiles/full.yaml pins it
HIDDEN, HEADS = 64, 2  # heads of 32: the smallest that vLLM knows
LICENCE = "Stand-in of Qwen2.5-VL: random weights, made by `make rehearse`. Not Qwen's; no licence of Qwen's applies.\n"


def write_base(folder: Path, qwen: Path | None, texts: list[str]) -> dict[str, Any]:
    """Write the model folder; what it is made of.

    Args:
        folder: where to, made if it is not there.
        qwen: the folder of Qwen's tokenizer.json, or None for a small tokenizer learned from `texts`.
        texts: prose.
    """
    import torch
    from transformers import AutoTokenizer, Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    folder.mkdir(parents=True, exist_ok=True)
    spoken = ["".join(CHAIN) * 1000]  # its words are tokens then
    rows = write_tokenizer(folder, qwen, [*texts, *spoken])
    tokenizer = AutoTokenizer.from_pretrained(folder)
    _write_json(folder / "config.json", _config(tokenizer, rows))
    torch.manual_seed(0)
    model = Qwen2_5_VLForConditionalGeneration(Qwen2_5_VLConfig.from_pretrained(folder))
    give_habit(model, tokenizer)
    _write_weights(model.to(torch.bfloat16), folder)
    _write_settings(folder, tokenizer)
    count = sum(weight.numel() for weight in model.parameters())
    return {"parameters": count, "embedding_rows": rows, "tokens": len(tokenizer)}


def _config(tokenizer: Any, rows: int) -> dict[str, Any]:
    """The 3B's published fields; only numbers of layers and widths are smaller."""
    names = ("vision_start", "vision_end", "image_pad", "video_pad")
    start, end, image, video = (tokenizer.convert_tokens_to_ids(f"<|{name}|>") for name in names)
    return {
        "architectures": ["Qwen2_5_VLForConditionalGeneration"],
        "attention_dropout": 0.0,
        "bos_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "vision_start_token_id": start,
        "vision_end_token_id": end,
        "vision_token_id": tokenizer.convert_tokens_to_ids("<|vision_pad|>"),
        "image_token_id": image,
        "video_token_id": video,
        "hidden_act": "silu",
        "hidden_size": HIDDEN,
        "initializer_range": 0.02,
        "intermediate_size": 2 * HIDDEN,
        "max_position_embeddings": 128000,
        "max_window_layers": 70,
        "model_type": "qwen2_5_vl",
        "num_attention_heads": HEADS,
        "num_hidden_layers": 2,
        "num_key_value_heads": 1,
        "rms_norm_eps": 1e-06,
        "rope_theta": 1000000.0,
        "sliding_window": 32768,
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
        "transformers_version": "4.41.2",
        "use_cache": True,
        "use_sliding_window": False,
        "vision_config": {
            "depth": 2,
            "hidden_act": "silu",
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 2,
            "in_chans": 3,
            "out_hidden_size": HIDDEN,
            "patch_size": 14,
            "spatial_merge_size": 2,
            "spatial_patch_size": 14,
            "window_size": 112,
            "fullatt_block_indexes": [1],
            "tokens_per_second": 2,
            "temporal_patch_size": 2,
        },
        "rope_scaling": {"type": "mrope", "mrope_section": [4, 6, 6]},
        "vocab_size": rows,
    }


def _write_weights(model: Any, folder: Path) -> None:
    """Two shards and their index, under the names that the hub's files have; a tied head is not written."""
    from safetensors.torch import save_file

    state = {
        name.replace("model.language_model.", "model.").replace("model.visual.", "visual."): weight.contiguous()
        for name, weight in model.state_dict().items()
        if name != "lm_head.weight"
    }
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
    pictures = {
        "min_pixels": 3136,
        "max_pixels": 12845056,
        "patch_size": 14,
        "temporal_patch_size": 2,
        "merge_size": 2,
        "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_std": [0.26862954, 0.26130258, 0.27577711],
        "image_processor_type": "Qwen2VLImageProcessor",
        "processor_class": "Qwen2_5_VLProcessor",
    }
    _write_json(folder / "generation_config.json", generation)
    _write_json(folder / "preprocessor_config.json", pictures)
    (folder / "LICENSE").write_text(LICENCE, "utf-8")
    (folder / "README.md").write_text("---\nlibrary_name: transformers\n---\n\nStand-in of Qwen2.5-VL-3B.\n", "utf-8")
    (folder / ".gitattributes").write_text("*.safetensors filter=lfs diff=lfs merge=lfs -text\n", "utf-8")


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", "utf-8")
