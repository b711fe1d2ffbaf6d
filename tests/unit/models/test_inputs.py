"""Frames to patches as the library does it, prompts to padded batches with the positions the library computes."""

import hashlib
from typing import Any

import numpy as np
import pytest
import torch
from transformers import Qwen2_5_VLProcessor
from transformers.feature_extraction_utils import BatchFeature
from transformers.video_utils import VideoMetadata

from pipeline.errors import ItemError
from pipeline.models.generate import rope_positions
from pipeline.models.inputs import encode_prompts, patchify, render_prompt, second_per_grid
from pipeline.models.policy import VisionSettings
from tests.support.random_policy import TEMPLATE, ask, make_clip, make_random_policy

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
    with pytest.raises(ItemError, match="30x28: both sides must be multiples of 28"):
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


class LibrarysVideoProcessor:
    """Stands in for the library's own, which needs torchvision; its patches are held to hashes above."""

    merge_size = temporal_patch_size = 2
    model_input_names = ("pixel_values_videos", "video_grid_thw")

    def __init__(self, settings: VisionSettings) -> None:
        self.settings = settings

    def __call__(self, videos: Any, video_metadata: Any, **_: Any) -> BatchFeature:
        patches, grids = zip(*(patchify(v, self.settings) for v in videos), strict=True)
        data = {"pixel_values_videos": torch.cat(patches), "video_grid_thw": torch.stack(grids)}
        return BatchFeature({**data, "video_metadata": video_metadata})


class Processor(Qwen2_5_VLProcessor):  # type: ignore[misc]
    """The library's processor, that takes the above."""

    def check_argument_for_proper_class(self, *_: Any) -> None:
        """Any."""


def test_inputs_and_positions_up_to_the_videos_end_are_those_of_the_librarys_processor() -> None:
    """Frames 1.875 s and 11.25 s apart (16 over EgoSchema's three minutes), two videos in one prompt."""
    policy = make_random_policy()
    clips = {"a": make_clip(1, frames=6, spacing=1.875), "b": make_clip(2, frames=5, height=24, spacing=11.25)}
    prompts = [ask("what is taken ?", "a"), ask("red ?", "b", "a")]
    shown = [clips[name] for name in ("a", "b", "a")]
    metadata = [
        VideoMetadata(
            len(c.images), fps=1 / float(np.diff(c.pts_seconds)[0]), frames_indices=list(range(len(c.images)))
        )
        for c in shown
    ]
    theirs = Processor(None, policy.tokenizer, LibrarysVideoProcessor(policy.vision), chat_template=TEMPLATE)(
        text=[render_prompt(policy, p) for p in prompts],
        videos=[c.images for c in shown],
        videos_kwargs={"video_metadata": metadata, "do_sample_frames": False},
        text_kwargs={"padding": True, "return_tensors": "pt"},
        return_mm_token_type_ids=True,
    )
    mine = encode_prompts(policy, prompts, clips)
    for name, value in mine.forward_kwargs().items():
        assert torch.equal(torch.as_tensor(theirs[name]).to(value.dtype), value), name
    assert mine.second_per_grid_ts.tolist() == [3.75, 22.5, 3.75]
    positions, _ = rope_positions(policy, mine)
    names = ("mm_token_type_ids", "video_grid_thw", "second_per_grid_ts", "attention_mask")
    library, _ = type(policy.model.model).get_rope_index(
        policy.model.model, theirs["input_ids"], **{n: torch.as_tensor(theirs[n]) for n in names}
    )
    first = mine.input_ids[1].tolist().index(policy.video_token_id)
    behind = first + 36
    assert torch.equal(positions[:, 1, :behind], library[:, 1, :behind])  # the rest: test_positions.py
    assert positions[0, 1, first : first + 36 : 12].diff().tolist() == [45, 45]  # 22.5 s at 2 positions a second


def test_nones_that_arrow_adds_do_not_become_content() -> None:
    policy = make_random_policy()
    assert render_prompt(policy, ask("what ?", "a")).count("<|video_pad|>") == 1


def test_a_prompt_longer_than_the_context_is_refused_not_cut() -> None:
    policy = make_random_policy()
    with pytest.raises(ItemError, match=r"prompt_too_long: 60\d tokens, but the model's context is 512"):
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
