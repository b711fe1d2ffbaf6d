"""Each family against transformers itself, from a folder in the hub's layout: forward, rollout, prompt, features."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from transformers import AutoConfig, Qwen3VLProcessor
from transformers.feature_extraction_utils import BatchFeature
from transformers.video_utils import VideoMetadata

from pipeline.errors import ModelError
from pipeline.models.batch import ModelInputs
from pipeline.models.families import FAMILIES
from pipeline.models.generate import generate, rope_positions, video_kwargs
from pipeline.models.inputs import encode_prompts, patchify, render_prompt
from pipeline.models.policy import Policy, load_policy
from pipeline.models.sampling import Sampling
from pipeline.models.vision import FeatureCache, encode_clip
from tests.support.float64 import compute_in_what_comes_in
from tests.support.random_policy import TEMPLATE, ask, make_clip, make_random_policy

CLIPS = {"a": make_clip(1), "b": make_clip(2, frames=5, height=24, spacing=11.25), "c": make_clip(3, frames=1)}
PROMPTS = [
    ask("what is taken ?", "a"),
    ask("red cup first ? what blue", "b", "a"),
    ask("what is ?"),
    ask("first", "c"),
]


@pytest.fixture(params=list(FAMILIES))
def family(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def write_hub_folder(family: str, folder: Path) -> Path:
    """Weights, config, tokenizer and processor files, as the hub has them."""
    policy = make_random_policy(family=family)
    policy.model.save_pretrained(folder)
    policy.tokenizer.save_pretrained(folder)
    for name, content in policy.family.processor_files(policy.vision).items():
        (folder / name).write_text(json.dumps(content))
    return folder


@pytest.fixture
def folder(family: str, tmp_path: Path) -> Path:
    return write_hub_folder(family, tmp_path / "hub")


def load_plain(folder: Path, dtype: torch.dtype) -> Any:
    """transformers' model as anybody loads it."""
    name = json.loads((folder / "config.json").read_text())["architectures"][0]
    return getattr(transformers, name).from_pretrained(folder, dtype=dtype).eval()


def plain_logits(model: Any, policy: Policy, prompt: Any) -> torch.Tensor:
    """Logits [length, vocabulary] of one prompt alone, from pixels. The library's own positions, but for Qwen2.5-VL,
    whose publisher's are given: test_positions.py holds them to numbers."""
    inputs = encode_prompts(policy, [prompt], CLIPS)
    given = {} if policy.family.steps_apart else {"position_ids": rope_positions(policy, inputs)[0]}
    kwargs = {k: v.to(model.dtype) if k.startswith("pixel") else v for k, v in inputs.forward_kwargs().items()}
    with torch.no_grad():
        logits: torch.Tensor = model(**kwargs, **given).logits[0]
    return logits


def own_logits(policy: Policy) -> tuple[ModelInputs, torch.Tensor]:
    """All prompts in one left-padded batch, with cached features and explicit positions, as a rollout computes them."""
    cache = FeatureCache(policy, 10)
    inputs = encode_prompts(policy, PROMPTS, CLIPS, with_pixels=False)
    features = [cache.get(CLIPS[name]) for row in inputs.clip_ids for name in row]
    with torch.no_grad():
        logits: torch.Tensor = policy.model(
            input_ids=inputs.input_ids,
            attention_mask=inputs.attention_mask,
            position_ids=rope_positions(policy, inputs)[0],
            **video_kwargs(policy, inputs, features),
        ).logits
    return inputs, logits


@pytest.mark.parametrize(("dtype", "bound"), [(torch.float32, 1e-5), (torch.float64, 1e-9)])
def test_forward_is_the_librarys(
    folder: Path, dtype: torch.dtype, bound: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    if dtype == torch.float64:
        compute_in_what_comes_in(monkeypatch)
    plain, policy = load_plain(folder, dtype), load_policy(folder, dtype=dtype)
    inputs, logits = own_logits(policy)
    assert inputs.attention_mask.sum(1).unique().numel() == len(PROMPTS)
    for row, prompt in enumerate(PROMPTS):
        expected = plain_logits(plain, policy, prompt)
        assert expected.dtype == dtype and expected.std() > 0.1
        assert (logits[row, inputs.attention_mask[row].bool()] - expected).abs().max() < bound


def test_rollout_is_the_librarys_greedy_generate(folder: Path) -> None:
    policy = load_policy(folder)
    model = load_plain(folder, torch.float32) if policy.family.steps_apart else policy.model
    rows = generate(policy, PROMPTS, CLIPS, Sampling(12, temperature=0.0), cache=FeatureCache(policy, 10))
    for prompt, (completion,) in zip(PROMPTS, rows, strict=True):
        inputs = encode_prompts(policy, [prompt], CLIPS)
        expected = model.generate(
            **inputs.forward_kwargs(),
            max_new_tokens=12,
            do_sample=False,
            suppress_tokens=list(policy.suppressed_token_ids),
            eos_token_id=list(policy.eos_token_ids),
            pad_token_id=policy.pad_token_id,
        )[0, inputs.input_ids.shape[1] :]
        assert list(completion.token_ids) == expected.tolist()
    assert len({c.token_ids for (c,) in rows}) > 1


def test_cached_features_hold_all_that_the_tower_gives(family: str) -> None:
    policy = make_random_policy(family=family)
    layers = {"qwen2_5_vl": 1, "qwen3_vl": 3}[family]
    features = encode_clip(policy, CLIPS["b"])
    assert features.shape == (3 * 3 * 4, layers * 32)
    patches, grid = patchify(CLIPS["b"].images, policy.vision)
    with torch.no_grad():
        outputs = policy.tower(patches, grid_thw=grid[None], return_dict=True)
    parts = [outputs.pooler_output, *(getattr(outputs, "deepstack_features", None) or [])]
    assert torch.equal(features, torch.cat(parts, -1))
    for left, right in zip(features.chunk(layers, -1), features.chunk(layers, -1)[1:], strict=False):
        assert not torch.allclose(left, right)


def test_deepstack_features_reach_the_language_model() -> None:
    policy = make_random_policy(family="qwen3_vl")
    inputs = encode_prompts(policy, PROMPTS[:1], CLIPS, with_pixels=False)
    features = encode_clip(policy, CLIPS["a"])
    without = features.clone()
    without[:, 32:] = 0
    with torch.no_grad():
        one, other = (
            policy.model(input_ids=inputs.input_ids, position_ids=rope_positions(policy, inputs)[0], **kwargs).logits
            for kwargs in (video_kwargs(policy, inputs, [f]) for f in (features, without))
        )
    assert (one - other).abs().max() > 0.01


def test_the_mask_that_stands_for_none_makes_none(family: str) -> None:
    """A mask of a long shared row would have gigabytes."""
    policy = make_random_policy(family=family)
    inputs = encode_prompts(policy, PROMPTS[:1], CLIPS, with_pixels=False)
    seen: list[Any] = []

    def note(module: Any, args: Any, kwargs: Any) -> None:
        seen.append(kwargs.get("attention_mask"))

    policy.language_model.layers[0].register_forward_pre_hook(note, with_kwargs=True)
    with torch.no_grad():
        policy.model(
            input_ids=inputs.input_ids,
            attention_mask=policy.family.no_mask,
            position_ids=rope_positions(policy, inputs)[0],
            **video_kwargs(policy, inputs, [encode_clip(policy, CLIPS["a"])]),
        )
    assert seen == [None]


# --- Qwen3-VL's prompt ----------------------------------------------------------------------------------------------


def block(stamp: str, tokens: int) -> str:
    return f"<{stamp} seconds><|vision_start|>" + "<|video_pad|>" * tokens + "<|vision_end|>"


def text_of(policy: Policy, ids: torch.Tensor) -> str:
    return "".join(policy.tokenizer.convert_ids_to_tokens(ids.tolist()))


def test_each_step_is_stamped_with_its_mean_time_from_the_clips_start() -> None:
    """Five frames at 100.25, 111.5 ... 145.25 s of a file whose clip starts at 100 s; the last step is one frame."""
    policy = make_random_policy(family="qwen3_vl")
    clip = replace(CLIPS["b"], pts_seconds=CLIPS["b"].pts_seconds + 100)
    prompt = ask("what ?", "b")
    prompt[0]["content"][0]["start_seconds"] = 100.0
    text = text_of(policy, encode_prompts(policy, [prompt], {"b": clip}).input_ids[0])
    video = block("5.9", 12) + block("28.4", 12) + block("45.2", 12)
    assert text == f"<|im_start|>user{video}what?<|im_end|><|im_start|>assistant".replace(" ", "")


class LibrarysVideoProcessor:
    """Stands where the library's own would be, which needs torchvision; its patches are held elsewhere."""

    merge_size = temporal_patch_size = 2
    model_input_names = ("pixel_values_videos", "video_grid_thw")

    def __init__(self, policy: Policy) -> None:
        self.vision = policy.vision

    def __call__(self, videos: Any, video_metadata: Any, **_: Any) -> BatchFeature:
        patches, grids = zip(*(patchify(v, self.vision) for v in videos), strict=True)
        data = {"pixel_values_videos": torch.cat(patches), "video_grid_thw": torch.stack(grids)}
        return BatchFeature({**data, "video_metadata": video_metadata})


class Processor(Qwen3VLProcessor):  # type: ignore[misc]
    """The library's processor, that takes the above."""

    def check_argument_for_proper_class(self, *_: Any) -> None:
        """Any."""


def test_a_prompt_is_the_librarys_without_the_markers_that_it_leaves_around_the_whole() -> None:
    """Up to 4.57 transformers replaced the template's block, as Qwen's code does; 5.23 replaces what is inside it."""
    policy = make_random_policy(family="qwen3_vl")
    prompts = [ask("what is taken ?", "a"), ask("red ?", "b", "a")]
    clips = {name: replace(c, pts_seconds=c.pts_seconds - c.pts_seconds[0]) for name, c in CLIPS.items()}
    shown = [clips[name] for name in ("a", "b", "a")]
    metadata = [
        VideoMetadata(
            len(c.images), fps=1 / float(np.diff(c.pts_seconds)[0]), frames_indices=list(range(len(c.images)))
        )
        for c in shown
    ]
    theirs = Processor(None, policy.tokenizer, LibrarysVideoProcessor(policy), chat_template=TEMPLATE)(
        text=[render_prompt(policy, p) for p in prompts],
        videos=[c.images for c in shown],
        videos_kwargs={"video_metadata": metadata, "do_sample_frames": False},
        text_kwargs={"padding": True, "return_tensors": "pt"},
    )
    mine = encode_prompts(policy, prompts, clips)
    for row in (0, 1):
        library = text_of(policy, theirs["input_ids"][row, theirs["attention_mask"][row].bool()])
        ours = text_of(policy, mine.input_ids[row, mine.attention_mask[row].bool()])
        assert library.count("<|vision_start|>") == ours.count("<|vision_start|>") + len(mine.clip_ids[row])
        library = re.sub(r"<\|vision_start\|>(?=<\d)", "", library)
        assert ours == library.replace("<|vision_end|><|vision_end|>", "<|vision_end|>")
    assert torch.equal(theirs["pixel_values_videos"], mine.pixel_values_videos)
    assert theirs["video_grid_thw"].tolist() == mine.video_grid_thw.tolist()
    assert mine.second_per_grid_ts is None


# --- folders --------------------------------------------------------------------------------------------------------


def test_colours_without_a_processor_file_are_the_familys(folder: Path, family: str) -> None:
    written = load_policy(folder).vision
    for name in FAMILIES[family].files:
        (folder / name).unlink()
    bare = load_policy(folder).vision
    assert bare == written
    assert bare.image_mean == {"qwen2_5_vl": (0.48145466, 0.4578275, 0.40821073), "qwen3_vl": (0.5, 0.5, 0.5)}[family]


def test_names_of_the_librarys_classes_exist(family: str) -> None:
    own = FAMILIES[family]
    layer = type(make_random_policy(family=family).language_model.layers[0])
    assert (layer.__name__, own.loader.config_class.model_type) == (own.decoder_layer, own.model_type)
    assert getattr(transformers, own.processor_class).__name__ == own.processor_class


def test_an_unknown_family_is_refused_with_the_list_and_the_page(folder: Path) -> None:
    config = AutoConfig.for_model("qwen2_vl")
    config.save_pretrained(folder)
    known = r"is a qwen2_vl model, of no family that egovlm knows \(qwen2_5_vl, qwen3_vl\): docs/extend\.md"
    with pytest.raises(ModelError, match=known):
        load_policy(folder)
