"""The tiny base: its tokenizer, its folder, and that teaching it works and repeats."""

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.models.inputs import encode_prompts
from pipeline.models.policy import Policy, load_policy
from pipeline.models.tiny import new_policy, take_course
from pipeline.models.tiny_model import parameter_count, save_tiny
from pipeline.models.tiny_pretrain import Lesson, lesson_loss
from pipeline.models.tiny_tokenizer import TAGS, build_tokenizer, split_words
from pipeline.params import TinyPhase, TinyShape

SHAPE = TinyShape(
    layers=1, hidden_size=48, heads=4, vision_layers=1, vision_hidden_size=48, patch_size=8, initializer_range=0.08
)
TEXTS = ["What is it? A. red object", "dark bright"]
MESSAGES = [{"role": "user", "content": [{"type": "video", "video": "x"}, {"type": "text", "text": "What is it?"}]}]


def clip(value: int) -> Any:
    return SimpleNamespace(images=np.full((2, 16, 16, 3), value, np.uint8), pts_seconds=np.array([0.5, 1.5]))


def test_words_times_and_letters_are_one_token_each() -> None:
    assert split_words("0.5, 12.5\nB. red C?") == ["0.5", ",", "12.5", "B.", "red", "C", "?"]


def test_the_tokenizer_keeps_tags_drops_special_tokens_and_survives_foreign_text() -> None:
    tokenizer = build_tokenizer(TEXTS)
    ids = tokenizer("<think>red 2.5</think><answer>B</answer><|im_end|>").input_ids
    assert tokenizer.decode(ids, skip_special_tokens=True) == "<think> red 2.5 </think> <answer> B </answer>"
    assert not set(tokenizer.convert_tokens_to_ids(list(TAGS))) & set(tokenizer.all_special_ids)
    assert tokenizer.unk_token_id in tokenizer("Ünbekannt 日本 \x00").input_ids


def test_the_chat_template_is_qwens() -> None:
    text = build_tokenizer(TEXTS).apply_chat_template(MESSAGES, tokenize=False, add_generation_prompt=True)
    assert text == (
        "<|im_start|>user\n<|vision_start|><|video_pad|><|vision_end|>What is it?<|im_end|>\n<|im_start|>assistant\n"
    )


def test_the_saved_folder_is_plain_and_gives_the_same_logits(tmp_path: Path) -> None:
    policy = new_policy(SHAPE, TEXTS, 0)
    save_tiny(policy.model, policy.tokenizer, tmp_path, "card")
    names = {path.name for path in tmp_path.iterdir()}
    assert {"model.safetensors", "tokenizer.json", "config.json", "preprocessor_config.json", "README.md"} <= names
    loaded = load_policy(tmp_path)
    inputs = encode_prompts(policy, [MESSAGES], {"x": clip(90)}).forward_kwargs()
    with torch.no_grad():
        assert torch.equal(loaded.model(**inputs).logits, policy.model.eval()(**inputs).logits)
    assert parameter_count(loaded.model) == parameter_count(policy.model) < 200_000


def _draw(name: str, phase: TinyPhase, step: int) -> Sequence[Lesson]:
    """Is the clip dark or bright?"""
    return [Lesson(clip(20 + 200 * i), MESSAGES, ("dark", "bright")[i]) for i in (0, 1)]


def _taught(steps: int) -> tuple[Policy, dict[str, float]]:
    torch.set_num_threads(1)
    policy = new_policy(SHAPE, TEXTS, 0)
    phase = TinyPhase(with_video=True, steps=steps, learning_rate=2e-2, enough_loss=None, wrong_fraction=0.0)
    return policy, take_course(policy, "light", phase, _draw)


def test_teaching_repeats_to_the_bit() -> None:
    (first, loss), (second, again) = _taught(5), _taught(5)
    assert loss == again
    assert all(torch.equal(a, b) for a, b in zip(first.model.parameters(), second.model.parameters(), strict=True))


def test_teaching_makes_it_see() -> None:
    policy, result = _taught(70)
    assert result["steps"] == 70
    assert result["loss"] < 0.2
    true = _draw("", _PHASE, 0)
    swapped = [Lesson(true[i].clip, MESSAGES, true[1 - i].completion) for i in (0, 1)]
    with torch.no_grad():
        assert lesson_loss(policy, swapped).item() > 1.0


_PHASE = TinyPhase(with_video=True, steps=1, learning_rate=1e-3, enough_loss=None, wrong_fraction=0.0)


def test_a_lesson_without_a_clip_is_text_alone() -> None:
    policy = new_policy(SHAPE, TEXTS, 0)
    blind = [{"role": "user", "content": [{"type": "text", "text": "What is it?"}]}]
    loss = lesson_loss(policy, [Lesson(None, blind, "red"), Lesson(None, blind, "red object")])
    assert loss.item() == pytest.approx(np.log(len(policy.tokenizer)), rel=0.5)
