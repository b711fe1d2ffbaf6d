"""Frames to patches as the library does it, prompts to padded batches with the positions the library computes."""

import hashlib

import numpy as np
import pytest
import torch

from pipeline.errors import ItemError
from pipeline.models.inputs import encode_prompts, patchify, render_prompt, second_per_grid
from pipeline.models.policy import VisionSettings
from tests.random_policy import ask, make_clip, make_random_policy

# SHA-256 of what Qwen2VLVideoProcessor(do_resize=False) of transformers 5.23 gives with torchvision 0.28, for frames
# default_rng(T * H).integers(0, 256, (T, H, W, 3)); run aside, as torchvision needs a CUDA torch.
LIBRARY = {
    (6, 48, 48, 8, 2, 2): "abb8abf53d211d23901dbc6e603e8334c708ea1915e72982d9eb68fd951562f8",
    (5, 28, 56, 14, 2, 2): "2e8c2b276b2a77b21743b46b6b649a319b59cb749dd8fc80da78b2836f4e2597",
    (1, 32, 16, 4, 2, 2): "ed04f2466288c85a0ef775bceb38c9f993d4db1a9d77da91e30bdc10059f63cf",
    (7, 56, 84, 14, 2, 2): "8b8ee44479284eda1a6c63e646c85298079701f81020cedd1931c4c8d165d19a",
    (4, 24, 36, 4, 3, 1): "721ccd7c7242e80084d2e5469006f0ef9c7abbf38cf6a9dd83897ad0ca084bbd",
}


@pytest.mark.parametrize("shape", LIBRARY)
def test_patchify_is_the_librarys_bit_for_bit(shape: tuple[int, ...]) -> None:
    t, h, w, patch, merge, temporal = shape
    frames = np.random.default_rng(t * h).integers(0, 256, (t, h, w, 3), dtype=np.uint8)
    patches, grid = patchify(frames, VisionSettings(patch, temporal, merge))
    assert hashlib.sha256(patches.numpy().tobytes()).hexdigest() == LIBRARY[shape]
    assert grid.tolist() == [-(-t // temporal), h // patch, w // patch]


def test_frames_that_do_not_fit_are_refused() -> None:
    settings = VisionSettings(patch_size=14, temporal_patch_size=2, merge_size=2)
    with pytest.raises(ItemError, match="30x28 is no multiple of 28"):
        patchify(np.zeros((2, 28, 30, 3), np.uint8), settings)
    with pytest.raises(ItemError, match="bad_frames"):
        patchify(np.zeros((0, 28, 28, 3), np.uint8), settings)


def test_second_per_grid_is_two_frame_spacings() -> None:
    settings = VisionSettings(4, 2, 2)
    assert second_per_grid([3.0, 5.5, 8.0], settings) == 5.0
    assert second_per_grid([7.0], settings) == 2.0


def test_prompts_are_padded_left_with_every_video_token_marked() -> None:
    policy = make_random_policy()
    clips = {"a": make_clip(1), "b": make_clip(2, frames=5, height=24)}
    inputs = encode_prompts(policy, [ask("what ?", "a"), ask("red cup ?", "b", "a"), ask("first")], clips)
    assert inputs.clip_ids == (("a",), ("b", "a"), ())
    assert inputs.video_grid_thw.tolist() == [[2, 4, 8], [3, 6, 8], [2, 4, 8]]
    assert (inputs.mm_token_type_ids == 2).sum(1).tolist() == [16, 36 + 16, 0]
    assert inputs.second_per_grid_ts.tolist() == [1.0, 1.0, 1.0]
    assert inputs.attention_mask[:, -1].tolist() == [1, 1, 1]
    assert inputs.attention_mask[0].diff().min() >= 0  # zeros, then ones
    assert inputs.input_ids[2, 0] == policy.pad_token_id
    assert len(inputs.pixel_values_videos) == 2 * 32 + 3 * 48 + 2 * 32


def test_nones_that_arrow_adds_do_not_become_content() -> None:
    policy = make_random_policy()
    assert render_prompt(policy, ask("what ?", "a")).count("<|video_pad|>") == 1


def test_a_prompt_longer_than_the_context_is_refused_not_cut() -> None:
    policy = make_random_policy()
    with pytest.raises(ItemError, match=r"prompt_too_long: 60\d tokens, the model's context is 512"):
        encode_prompts(policy, [ask("cup " * 600)], {})


def test_padding_changes_nothing() -> None:
    policy = make_random_policy()
    clips = {"a": make_clip(1), "b": make_clip(2, frames=8)}
    alone = encode_prompts(policy, [ask("what ?", "a")], clips)
    batch = encode_prompts(policy, [ask("what ?", "a"), ask("red cup first ?", "b")], clips)
    with torch.no_grad():
        one = policy.model(**alone.forward_kwargs()).logits[0, -1]
        two = policy.model(**batch.forward_kwargs()).logits[0, -1]
    assert torch.allclose(one, two, atol=2e-6)
