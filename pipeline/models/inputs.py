"""From prompts and frames to model inputs: patches, expanded video tokens, left padding.

Replaces transformers' processors, whose video part needs torchvision; a test holds `patchify` to its output.
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from pipeline.errors import ItemError
from pipeline.models.batch import ModelInputs
from pipeline.models.clip_frames import ClipFrames
from pipeline.models.policy import Policy, VisionSettings

_RESCALE = 1 / 255


def normalise_colours(frames: np.ndarray[Any, Any] | torch.Tensor, settings: VisionSettings) -> torch.Tensor:
    """Frames uint8 [T, H, W, 3] to float32 [T, 3, H, W], colour-normalised.

    The order of operations is that of transformers' fast processors (rescaling fused into mean and std), so that the
    results are bit-identical.
    """
    pixels = torch.as_tensor(frames).permute(0, 3, 1, 2).to(torch.float32)
    mean = torch.tensor(settings.image_mean) * (1.0 / _RESCALE)
    std = torch.tensor(settings.image_std) * (1.0 / _RESCALE)
    return (pixels - mean.to(pixels.device).view(-1, 1, 1)) / std.to(pixels.device).view(-1, 1, 1)


def patchify(
    frames: np.ndarray[Any, Any] | torch.Tensor, settings: VisionSettings
) -> tuple[torch.Tensor, torch.Tensor]:
    """Frames uint8 [T, H, W, 3] to patches float32 [N, 3 * temporal_patch_size * patch_size**2] and the grid int64 [3].

    Patch order is that of `Qwen2VLVideoProcessor.patchify` (transformers 5.23): merged 2x2 blocks are contiguous. A
    clip whose length is not a multiple of `temporal_patch_size` repeats its last frame.

    Raises:
        ItemError: there is no frame, or a side is not a multiple of patch_size * merge_size.
    """
    t, height, width = _check_frames(frames, settings)
    p, m, s = settings.patch_size, settings.merge_size, settings.temporal_patch_size
    pixels = normalise_colours(frames, settings)
    if pad := -t % s:
        pixels = torch.cat([pixels, pixels[-1:].expand(pad, -1, -1, -1)])
    grid_t, grid_h, grid_w = pixels.shape[0] // s, height // p, width // p
    blocks = pixels.reshape(grid_t, s, 3, grid_h // m, m, p, grid_w // m, m, p)
    patches = blocks.permute(0, 3, 6, 4, 7, 2, 1, 5, 8).reshape(grid_t * grid_h * grid_w, 3 * s * p * p)
    return patches, torch.tensor([grid_t, grid_h, grid_w])


def _check_frames(frames: Any, settings: VisionSettings) -> tuple[int, int, int]:
    if len(frames.shape) != 4 or frames.shape[0] == 0 or frames.shape[3] != 3:
        raise ItemError("bad_frames", f"expected frames of shape [T, H, W, 3], found {list(frames.shape)}")
    t, height, width, _ = frames.shape
    if height % settings.size_multiple or width % settings.size_multiple:
        raise ItemError(
            "bad_frame_size", f"{width}x{height}: both sides must be multiples of {settings.size_multiple} pixels"
        )
    return t, height, width


def second_per_grid(pts_seconds: Sequence[float] | np.ndarray[Any, Any], settings: VisionSettings) -> float:
    """Seconds between two temporal positions: temporal_patch_size x the mean spacing of the frames.

    The library's processor writes temporal_patch_size / frames per second, which is the same for evenly spaced frames.
    A single frame counts as one second.
    """
    pts = np.asarray(pts_seconds, dtype=np.float64)
    spacing = float(pts[-1] - pts[0]) / (len(pts) - 1) if len(pts) > 1 else 1.0
    return settings.temporal_patch_size * spacing


def clip_ids_of(prompt: Sequence[Mapping[str, Any]] | str) -> tuple[str, ...]:
    """Ids of the clips a prompt's messages name, in order; none for plain text."""
    if isinstance(prompt, str):
        return ()
    parts = [part for message in prompt if not isinstance(message["content"], str) for part in message["content"]]
    return tuple(part["video"] for part in parts if part["type"] == "video")


def clip_starts_of(prompt: Sequence[Mapping[str, Any]]) -> tuple[float, ...]:
    """Where the clock of each of these clips starts, in seconds of its file."""
    parts = [part for message in prompt if not isinstance(message["content"], str) for part in message["content"]]
    return tuple(float(part.get("start_seconds") or 0.0) for part in parts if part["type"] == "video")


def render_prompt(policy: Policy, prompt: Sequence[Mapping[str, Any]] | str) -> str:
    """Messages to the text the model reads, up to if the completion starts; plain text stays as it is.

    Keys that are None are removed from content parts: Arrow adds them, and chat templates mistake them for content.
    """
    if isinstance(prompt, str):
        return prompt
    messages = [{**m, "content": _clean(m["content"])} for m in prompt]
    return str(policy.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))


def _clean(content: Any) -> Any:
    if isinstance(content, str):
        return content
    return [{key: value for key, value in part.items() if value is not None} for part in content]


def video_text(
    policy: Policy, shape: Sequence[int], pts_seconds: Sequence[float] | np.ndarray[Any, Any], start_seconds: float
) -> str:
    """What stands in a prompt for frames of `shape` [T, H, W, ...]: placeholders, and whatever the family writes with
    them. Times count from `start_seconds`; a step's is the mean of its first and last frame, the last one repeated."""
    vision = policy.vision
    size = vision.temporal_patch_size
    pts = np.asarray(pts_seconds, dtype=np.float64) - start_seconds
    steps = [(pts[i] + pts[min(i + size, len(pts)) - 1]) / 2 for i in range(0, len(pts), size)]
    return policy.family.video_text(steps, vision.video_tokens(1, shape[1], shape[2]))


def tokenize_prompt(policy: Policy, prompt: Sequence[Mapping[str, Any]] | str, videos: Sequence[str]) -> list[int]:
    """Token ids of one prompt, each video's place taken by its text in `videos` (`video_text`).

    Raises:
        ItemError: placeholders and videos differ in number, or the prompt is longer than the model's context (it is
            never cut).
    """
    pieces = render_prompt(policy, prompt).split(policy.family.video_place)
    if len(pieces) != len(videos) + 1:
        raise ItemError("video_count", f"{len(pieces) - 1} video placeholders for {len(videos)} clips")
    text = "".join(piece + video for piece, video in zip(pieces, [*videos, ""], strict=True))
    ids: list[int] = policy.tokenizer(text, add_special_tokens=False)["input_ids"]
    if len(ids) > policy.context_length:
        raise ItemError("prompt_too_long", f"{len(ids)} tokens, but the model's context is {policy.context_length}")
    return ids


def pad_left(rows: Sequence[Sequence[int]], value: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows of different lengths to int64 [B, T] padded on the left with `value`, and the mask of real entries."""
    width = max(len(row) for row in rows)
    ids = torch.tensor([[value] * (width - len(row)) + list(row) for row in rows], dtype=torch.long)
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows], dtype=torch.long)
    return ids, mask


def encode_prompts(
    policy: Policy,
    prompts: Sequence[Sequence[Mapping[str, Any]] | str],
    clips: Mapping[str, ClipFrames] | Sequence[Sequence[ClipFrames]],
    with_pixels: bool = True,
) -> ModelInputs:
    """Prompts (chat messages that name clips by id, or rendered text) and frames to one left-padded batch.

    `clips` maps the ids named in the messages to their frames; for rendered texts it is a list of clips per prompt.
    `with_pixels=False` leaves `pixel_values_videos` None, for callers that already have the clips' features.

    Raises:
        KeyError: a message names a clip that is not in `clips`.
        ItemError: see `patchify` and `tokenize_prompt`.
    """
    names = _names(prompts, clips)
    frames = [[clips[n] for n in row] for row in names] if isinstance(clips, Mapping) else [list(row) for row in clips]
    rows = [tokenize_prompt(policy, p, _video_texts(policy, p, row)) for p, row in zip(prompts, frames, strict=True)]
    input_ids, attention_mask = pad_left(rows, policy.pad_token_id)
    flat = [clip for row in frames for clip in row]
    patches = [patchify(clip.images, policy.vision) for clip in flat] if with_pixels else []
    grids = [grid_of(clip.images, policy.vision) for clip in flat]
    spacing = [second_per_grid(clip.pts_seconds, policy.vision) for clip in flat if policy.family.interval]
    return ModelInputs(
        input_ids=input_ids,
        attention_mask=attention_mask,
        mm_token_type_ids=(input_ids == policy.video_token_id).long() * 2,
        pixel_values_videos=torch.cat([p for p, _ in patches]) if patches else None,
        video_grid_thw=torch.tensor(grids) if flat else None,
        second_per_grid_ts=torch.tensor(spacing, dtype=torch.float32) if spacing else None,
        clip_ids=names,
    )


def _video_texts(policy: Policy, prompt: Any, clips: Sequence[ClipFrames]) -> list[str]:
    starts = itertools.repeat(0.0) if isinstance(prompt, str) else clip_starts_of(prompt)
    return [
        video_text(policy, clip.images.shape, clip.pts_seconds, start)
        for clip, start in zip(clips, starts, strict=False)
    ]


def _names(prompts: Sequence[Any], clips: Any) -> tuple[tuple[str, ...], ...]:
    if isinstance(clips, Mapping):
        return tuple(clip_ids_of(prompt) for prompt in prompts)
    return tuple(tuple(f"prompt{i}/{j}" for j in range(len(row))) for i, row in enumerate(clips))


def grid_of(frames: Any, settings: VisionSettings) -> list[int]:
    """Patches along time, height and width of frames [T, H, W, 3]."""
    t, height, width = _check_frames(frames, settings)
    return [-(-t // settings.temporal_patch_size), height // settings.patch_size, width // settings.patch_size]
