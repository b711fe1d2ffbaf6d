"""Tokenizer files of the stand-in: Qwen's own where they lie beside the repository, else a small one made here.

Both come as the hub has them: tokenizer.json, tokenizer_config.json with the special tokens, vocab.json, merges.txt.
"""

import json
import shutil
from pathlib import Path
from typing import Any

ORDINARY = 151_643  # Qwen's ids below this are of words; its special tokens follow
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
SPECIAL += [f"<|{name}_{side}|>" for name in ("object_ref", "box", "quad", "vision") for side in ("start", "end")]
SPECIAL += ["<|vision_pad|>", "<|image_pad|>", "<|video_pad|>"]
CHAT = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{% if m['content'] is string %}{{ m['content'] }}{% else %}"
    "{% for c in m['content'] %}{% if c['type'] == 'video' %}<|vision_start|><|video_pad|><|vision_end|>"
    "{% elif c['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% else %}{{ c['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def write_tokenizer(folder: Path, qwen: Path | None, texts: list[str]) -> int:
    """Write the tokenizer's files; how many rows the embedding needs.

    Args:
        folder: where the model's files go.
        qwen: the folder of Qwen's tokenizer.json, or None.
        texts: what a small one is learned from.
    """
    if qwen is not None:
        shutil.copy(qwen / "tokenizer.json", folder)
        template = (qwen / "chat_template.jinja").read_text("utf-8")
        rows = 151_936  # as published: more rows than tokens
    else:
        _learn(texts, folder / "tokenizer.json")
        template, rows = CHAT, 0
    tokenizer = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    model, added = tokenizer["model"], tokenizer["added_tokens"]
    (folder / "vocab.json").write_text(json.dumps(model["vocab"], ensure_ascii=False), "utf-8")
    pairs = (pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"])
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(pairs) + "\n", "utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps(_config(added, template), indent=2), "utf-8")
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": template}, indent=2), "utf-8")
    return rows or -(-(len(model["vocab"]) + len(added)) // 64) * 64


def _learn(texts: list[str], path: Path) -> None:
    """A byte-level BPE of some thousand tokens, as Qwen's is one of 151,643."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=2000, initial_alphabet=alphabet))
    tokenizer.add_special_tokens([AddedToken(word, special=True, normalized=False) for word in SPECIAL])
    tokenizer.save(str(path))


def _config(added: list[dict[str, Any]], template: str) -> dict[str, Any]:
    kept = ("content", "lstrip", "normalized", "rstrip", "single_word", "special")
    return {
        "add_prefix_space": False,
        "added_tokens_decoder": {str(token["id"]): {name: token[name] for name in kept} for token in added},
        "additional_special_tokens": SPECIAL[1:],
        "bos_token": None,
        "chat_template": template,
        "clean_up_tokenization_spaces": False,
        "eos_token": "<|im_end|>",
        "errors": "replace",
        "model_max_length": 131072,
        "pad_token": "<|endoftext|>",
        "split_special_tokens": False,
        "tokenizer_class": "Qwen2Tokenizer",
        "unk_token": None,
    }
