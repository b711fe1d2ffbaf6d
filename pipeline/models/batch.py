"""A batch of encoded prompts: what goes into the model, and how its rows are repeated."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch


@dataclass(frozen=True)
class ModelInputs:
    """A left-padded batch of B prompts with V videos in all (in order of the prompts).

    Shapes: `input_ids`, `attention_mask`, `mm_token_type_ids` int64 [B, T]; `pixel_values_videos` float32 [N, D];
    `video_grid_thw` int64 [V, 3]; `second_per_grid_ts` float32 [V], None also in families whose positions do not depend
    on it; `clip_ids` names the videos of each prompt. The three video fields are None if no prompt has a video.
    """

    input_ids: torch.Tensor
    attention_mask: torch.Tensor
    mm_token_type_ids: torch.Tensor
    pixel_values_videos: torch.Tensor | None
    video_grid_thw: torch.Tensor | None
    second_per_grid_ts: torch.Tensor | None
    clip_ids: tuple[tuple[str, ...], ...]

    def to(self, device: torch.device | str) -> "ModelInputs":
        """The same on `device`."""
        moved: dict[str, Any] = {k: v.to(device) for k, v in vars(self).items() if isinstance(v, torch.Tensor)}
        return replace(self, **moved)

    def forward_kwargs(self) -> dict[str, torch.Tensor]:
        """What `model(**kwargs)` and `model.generate(**kwargs)` take."""
        return {k: v for k, v in vars(self).items() if isinstance(v, torch.Tensor)}


def repeat_prompts(
    inputs: ModelInputs, features: Sequence[torch.Tensor] | None, times: int
) -> tuple[ModelInputs, list[torch.Tensor] | None]:
    """Each prompt, with its videos, `times` times in a row."""
    rows = torch.arange(len(inputs.clip_ids)).repeat_interleave(times).tolist()
    starts = [0]
    for names in inputs.clip_ids:
        starts.append(starts[-1] + len(names))
    videos = [v for row in rows for v in range(starts[row], starts[row + 1])]
    return select_prompts(inputs, rows, videos), None if features is None else [features[v] for v in videos]


def select_prompts(inputs: ModelInputs, rows: list[int], videos: list[int]) -> ModelInputs:
    """The prompts `rows` (repeats allowed) of a batch, whose videos are `videos`."""
    pixels, grid, spacing = inputs.pixel_values_videos, inputs.video_grid_thw, inputs.second_per_grid_ts
    if pixels is not None and grid is not None:
        per_video = torch.split(pixels, grid.prod(-1).tolist())
        pixels = torch.cat([per_video[v] for v in videos])
    return ModelInputs(
        input_ids=inputs.input_ids[rows],
        attention_mask=inputs.attention_mask[rows],
        mm_token_type_ids=inputs.mm_token_type_ids[rows],
        pixel_values_videos=pixels,
        video_grid_thw=None if grid is None else grid[videos],
        second_per_grid_ts=None if spacing is None else spacing[videos],
        clip_ids=tuple(inputs.clip_ids[row] for row in rows),
    )
