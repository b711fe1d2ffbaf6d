"""Qwen2.5-VL's own: where its tokens stand.

Positions are part of the weights. The rule here is the publisher's, as in Qwen's fine-tuning code, transformers up to
4.57 and vLLM: text behind a video starts one after the video's *largest* position, in time or in space. transformers
5.x starts it at max(height, width) instead. For 180 s in 32 frames that is 353 by the publisher and 30 by transformers,
and the weights were never trained with the second.
"""

import itertools
from types import MethodType
from typing import Any

import torch

_IMAGE, _VIDEO = 1, 2  # values of mm_token_type_ids


def rope_index(
    config: Any,
    input_ids: torch.Tensor,
    mm_token_type_ids: torch.Tensor,
    image_grid_thw: torch.Tensor | None = None,
    video_grid_thw: torch.Tensor | None = None,
    second_per_grid_ts: torch.Tensor | None = None,
    attention_mask: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Positions int64 [3, B, T] (time, height, width; 0 at padding) and, int64 [B, 1], how far the position that
    follows a row is ahead of the row's number of tokens.

    `mm_token_type_ids` [B, T] marks tokens of text (0), images (1) and videos (2). The grids [N, 3] count patches along
    time, height and width, in order of the prompts. `second_per_grid_ts` [N] are seconds between two temporal positions
    of each video; without it, one second.
    """
    vision = config.vision_config
    grids = {_IMAGE: iter(_rows(image_grid_thw)), _VIDEO: iter(_rows(video_grid_thw))}
    seconds = itertools.repeat(1.0) if second_per_grid_ts is None else iter(second_per_grid_ts.tolist())
    mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
    positions = torch.zeros(3, *input_ids.shape, dtype=torch.long)
    ahead = []
    for row, real in enumerate(mask.bool().cpu()):
        pieces: list[torch.Tensor] = []
        start = 0
        for kind, tokens in itertools.groupby(mm_token_type_ids[row].cpu()[real].tolist()):
            if kind in grids:
                interval = vision.tokens_per_second * next(seconds) if kind == _VIDEO else 1.0
                pieces.append(start + _grid_positions(next(grids[kind]), vision.spatial_merge_size, interval))
            else:
                pieces.append(start + torch.arange(len(list(tokens))).expand(3, -1))
            start = int(pieces[-1].max()) + 1
        positions[:, row, real] = torch.cat(pieces, dim=1)
        ahead.append(start - int(real.sum()))
    return positions.to(input_ids.device), torch.tensor(ahead, device=input_ids.device)[:, None]


def _rows(grid: torch.Tensor | None) -> list[list[int]]:
    return [] if grid is None else grid.tolist()


def _grid_positions(grid: list[int], merge_size: int, interval: float) -> torch.Tensor:
    """Positions int64 [3, tokens] of one image or video, from 0; `interval` positions lie between temporal patches."""
    time = (torch.arange(grid[0]) * interval).long()
    axes = (time, torch.arange(grid[1] // merge_size), torch.arange(grid[2] // merge_size))
    return torch.stack(torch.meshgrid(*axes, indexing="ij")).reshape(3, -1)


def follow_publisher(model: Any) -> None:
    """Let a `Qwen2_5_VLForConditionalGeneration` compute positions by this rule wherever it is given none: in a plain
    forward and in the library's `generate`."""

    def get_rope_index(inner: Any, input_ids: torch.Tensor, mm_token_type_ids: torch.Tensor, **kwargs: Any) -> Any:
        names = ("image_grid_thw", "video_grid_thw", "second_per_grid_ts", "attention_mask")
        return rope_index(inner.config, input_ids, mm_token_type_ids, **{name: kwargs.get(name) for name in names})

    model.model.get_rope_index = MethodType(get_rope_index, model.model)
