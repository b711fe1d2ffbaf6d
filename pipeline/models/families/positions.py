"""Where tokens stand, by the rule of the models' publisher.

Positions are part of the weights. What follows a video starts one after the video's *largest* position, in time or in
space: so in Qwen's fine-tuning code, in transformers up to 4.57 and in vLLM. transformers 5.x starts it at max(height,
width) instead. The two agree if a video's steps stand apart in the text (Qwen3-VL) and differ if they do not. For
180 s in 32 frames Qwen2.5-VL's text starts at 353 by the publisher and at 30 by transformers.
"""

import itertools
from collections.abc import Callable
from typing import Any

import torch

IMAGE, VIDEO = 1, 2  # values of mm_token_type_ids

# Positions between two steps of a video, from the vision config and the seconds between them.
Interval = Callable[[Any, float], float]


def rope_index(
    config: Any,
    input_ids: torch.Tensor,
    mm_token_type_ids: torch.Tensor,
    image_grid_thw: torch.Tensor | None = None,
    video_grid_thw: torch.Tensor | None = None,
    second_per_grid_ts: torch.Tensor | None = None,
    attention_mask: torch.Tensor | None = None,
    *,
    interval: Interval | None,
    steps_apart: bool,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Positions int64 [3, B, T] (time, height, width; 0 at padding) and, int64 [B, 1], how far the position that
    follows a row is ahead of the row's number of tokens.

    `mm_token_type_ids` [B, T] marks tokens of text (0), images (1) and videos (2). The grids [N, 3] count patches along
    time, height and width, in order of the prompts. `second_per_grid_ts` [N] are seconds between two temporal positions
    of each video; without it, one second. `interval` and `steps_apart` are the family's.
    """
    vision = config.vision_config
    grids = {IMAGE: iter(_rows(image_grid_thw)), VIDEO: iter(_rows(video_grid_thw, steps_apart))}
    seconds = itertools.repeat(1.0) if second_per_grid_ts is None else iter(second_per_grid_ts.tolist())
    mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
    positions = torch.zeros(3, *input_ids.shape, dtype=torch.long)
    ahead = []
    for row, real in enumerate(mask.bool().cpu()):
        pieces: list[torch.Tensor] = []
        start = 0
        for kind, tokens in itertools.groupby(mm_token_type_ids[row].cpu()[real].tolist()):
            if kind in grids:
                apart = interval(vision, next(seconds)) if interval is not None and kind == VIDEO else 1.0
                pieces.append(start + _grid_positions(next(grids[kind]), vision.spatial_merge_size, apart))
            else:
                pieces.append(start + torch.arange(len(list(tokens))).expand(3, -1))
            start = int(pieces[-1].max()) + 1
        positions[:, row, real] = torch.cat(pieces, dim=1)
        ahead.append(start - int(real.sum()))
    return positions.to(input_ids.device), torch.tensor(ahead, device=input_ids.device)[:, None]


def _rows(grid: torch.Tensor | None, steps_apart: bool = False) -> list[list[int]]:
    rows: list[list[int]] = [] if grid is None else grid.tolist()
    return [[1, *row[1:]] for row in rows for _ in range(row[0])] if steps_apart else rows


def _grid_positions(grid: list[int], merge_size: int, interval: float) -> torch.Tensor:
    """Positions int64 [3, tokens] of one image or video, from 0; `interval` positions lie between temporal patches."""
    time = (torch.arange(grid[0]) * interval).long()
    axes = (time, torch.arange(grid[1] // merge_size), torch.arange(grid[2] // merge_size))
    return torch.stack(torch.meshgrid(*axes, indexing="ij")).reshape(3, -1)
