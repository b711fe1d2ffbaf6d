"""The tiny base: its tokenizer, its folder, and that training it works and repeats."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.errors import ModelError
from pipeline.models.families import FAMILIES, small_family
from pipeline.models.families.qwen2_5_vl import QWEN2_5_VL
from pipeline.models.inputs import encode_prompts
from pipeline.models.policy import Policy, load_policy
from pipeline.tiny_base import recipe
from pipeline.tiny_base.model import build_config, parameter_count, save_tiny
from pipeline.tiny_base.muon import Muon
from pipeline.tiny_base.phases import MOST_LESSONS, new_policy, train_phase
from pipeline.tiny_base.pretrain import COOLDOWN, Example, example_loss
from pipeline.tiny_base.recipe import Mixture, Phase, TinyShape
from pipeline.tiny_base.tokenizer import TAGS, build_tokenizer, split_words

SHAPE = TinyShape(
    layers=1, hidden_size=48, heads=4, vision_layers=1, vision_hidden_size=48, vision_heads=2, patch_size=8,
    initializer_range=0.08,
)  # fmt: skip
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


@pytest.mark.parametrize("family", list(FAMILIES))
def test_the_saved_folder_is_plain_and_gives_the_same_logits(family: str, tmp_path: Path) -> None:
    policy = new_policy(small_family(family), SHAPE, TEXTS, 0)
    save_tiny(policy, tmp_path, "card")
    names = {path.name for path in tmp_path.iterdir()}
    assert {"model.safetensors", "tokenizer.json", "config.json", "preprocessor_config.json", "README.md"} <= names
    read = {name: json.loads((tmp_path / name).read_text()) for name in policy.family.files}
    limits = [content.get("min_pixels") or content["size"]["shortest_edge"] for content in read.values()]
    assert set(limits) == {16 * 16}  # one token: no program enlarges frames of 48 pixels
    loaded = load_policy(tmp_path)
    inputs = encode_prompts(policy, [MESSAGES], {"x": clip(90)}).forward_kwargs()
    with torch.no_grad():
        assert torch.equal(loaded.model(**inputs).logits, policy.model.eval()(**inputs).logits)
    assert parameter_count(loaded.model) == parameter_count(policy.model) < 200_000


def _draw(name: str, phase: Phase, step: int) -> Sequence[Example]:
    """Is the clip dark or bright?"""
    return [Example(clip(20 + 200 * i), MESSAGES, ("dark", "bright")[i]) for i in (0, 1)]


def _trained(steps: int, family: str = "qwen2_5_vl", **changes: float) -> tuple[Policy, dict[str, float]]:
    torch.set_num_threads(1)
    policy = new_policy(small_family(family), SHAPE, TEXTS, 0)
    return policy, train_phase(policy, "light", replace(_PHASE, **changes), steps, _draw)


def test_training_repeats_to_the_bit() -> None:
    (first, loss), (second, again) = _trained(5), _trained(5)
    assert loss == again
    assert all(torch.equal(a, b) for a, b in zip(first.model.parameters(), second.model.parameters(), strict=True))


@pytest.mark.parametrize("family", list(FAMILIES))
def test_training_makes_it_see(family: str) -> None:
    policy, result = _trained(70, family)
    assert result["steps"] == 70
    assert result["loss"] < 0.2
    assert result["exact_match"] == 1.0
    true = _draw("", _PHASE, 0)
    swapped = [Example(true[i].clip, MESSAGES, true[1 - i].completion) for i in (0, 1)]
    with torch.no_grad():
        loss, right = example_loss(policy, swapped, 0.0)
    assert loss.item() > 1.0
    assert right == 0.0


def test_a_phase_ends_when_enough_is_right() -> None:
    _, result = _trained(300, stop_at_exact_match=0.9, focal_gamma=1.0)
    assert COOLDOWN < result["steps"] < 200
    assert result["exact_match"] == 1.0


def test_a_phase_that_is_not_learned_is_taught_again_with_new_examples_but_not_for_ever() -> None:
    names = []

    def draw(name: str, phase: Phase, step: int) -> Sequence[Example]:
        names.append(name)
        return _draw(name, phase, step)

    def taught(below: float) -> float:
        names.clear()
        return train_phase(
            new_policy(QWEN2_5_VL, SHAPE, TEXTS, 0), "light", replace(_PHASE, repeat_below=below), 2, draw
        )["steps"]

    assert taught(0.0) == 2
    assert taught(1.1) == 2 * MOST_LESSONS
    assert len(set(names)) == MOST_LESSONS


def test_a_frozen_tower_stays_and_is_free_again() -> None:
    policy = new_policy(QWEN2_5_VL, SHAPE, TEXTS, 0)
    before = {name: weight.clone() for name, weight in policy.model.named_parameters()}
    train_phase(policy, "light", replace(_PHASE, freeze_vision=True), 2, _draw)
    changed = {name for name, weight in policy.model.named_parameters() if not torch.equal(weight, before[name])}
    assert changed == {name for name in before if "visual" not in name}
    assert all(weight.requires_grad for weight in policy.model.parameters())


def test_examples_with_and_without_a_clip_count_alike() -> None:
    policy = new_policy(QWEN2_5_VL, SHAPE, TEXTS, 0)
    text = [{"role": "user", "content": [{"type": "text", "text": "What is it?"}]}]
    seen, read = Example(clip(9), MESSAGES, "red object"), Example(None, text, "red")
    with torch.no_grad():
        both, first, second = (example_loss(policy, e, 0.0)[0].item() for e in ([seen, read], [seen], [read]))
    assert 5 * both == pytest.approx(3 * first + 2 * second, rel=1e-5)


def test_time_stamps_are_known_words() -> None:
    """Qwen3-VL writes the seconds of a step into the prompt; the default's vocabulary stays as it was."""
    stamped, plain = (new_policy(small_family(name), SHAPE, TEXTS, 0).tokenizer for name in ("qwen3_vl", "qwen2_5_vl"))
    assert set(stamped.get_vocab()) - set(plain.get_vocab()) == {"<", "seconds", ">"}
    assert stamped.unk_token_id not in stamped("<12.5 seconds>").input_ids


def test_a_family_without_a_tiny_base_is_refused() -> None:
    with pytest.raises(ModelError, match=r"qwen9_vl, and a tiny base is made of one of qwen2_5_vl, qwen3_vl"):
        small_family("qwen9_vl")


def test_the_default_shape_has_heads_that_engines_know() -> None:
    config = build_config(QWEN2_5_VL, recipe.SHAPE, build_tokenizer(TEXTS))
    text, vision = config.text_config, config.vision_config
    assert text.hidden_size // text.num_attention_heads == 32
    assert vision.hidden_size // vision.num_heads == 32


def test_only_what_is_not_given_is_trained_and_an_open_end_is_no_end() -> None:
    policy = new_policy(QWEN2_5_VL, SHAPE, TEXTS, 0)
    whole, given = Example(clip(9), MESSAGES, "red object"), Example(clip(9), MESSAGES, " object", given="red")
    start = Example(clip(9), MESSAGES, "red", open_end=True)
    with torch.no_grad():
        three, two, one = (example_loss(policy, [example], 0.0)[0].item() for example in (whole, given, start))
        focused = example_loss(policy, [start], 2.0)[0].item()
    assert 3 * three == pytest.approx(2 * two + one, rel=1e-5)
    assert focused == pytest.approx((1 - np.exp(-one)) ** 2 * one, rel=1e-5)


def test_muon_is_torchs_in_float32() -> None:
    start = torch.randn(12, 30, generator=torch.Generator().manual_seed(0))
    ours, theirs = (torch.nn.Parameter(start.clone()) for _ in range(2))
    optimisers = (
        Muon([ours], lr=0.1, weight_decay=0.01),
        torch.optim.Muon([theirs], lr=0.1, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"),
    )
    for seed in range(4):
        gradient = torch.randn(12, 30, generator=torch.Generator().manual_seed(seed))
        for matrix, optimiser in zip((ours, theirs), optimisers, strict=True):
            matrix.grad = gradient.clone()
            optimiser.step()
    moved = (theirs - start).norm()
    assert (ours - theirs).norm() < 0.03 * moved  # bfloat16 is that coarse


_PHASE = Phase(Mixture(whole=2), learning_rate=2e-2, focal_gamma=0.0)


def test_an_example_without_a_clip_is_text_alone() -> None:
    policy = new_policy(QWEN2_5_VL, SHAPE, TEXTS, 0)
    blind = [{"role": "user", "content": [{"type": "text", "text": "What is it?"}]}]
    loss, _ = example_loss(policy, [Example(None, blind, "red"), Example(None, blind, "red object")], 0.0)
    assert loss.item() == pytest.approx(np.log(len(policy.tokenizer)), rel=0.5)
