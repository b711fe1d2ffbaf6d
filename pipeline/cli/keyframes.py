"""`egovlm keyframes`: the moments that the miner finds in your own video."""

from pathlib import Path
from typing import Any

import typer

from pipeline.cli.output import AsJson, emit, waiting
from pipeline.cli.videos import End, OutPath, ParamsFile, Span, Start, VideoPath, open_span

PICTURE_PIXELS = 320 * 320


def keyframes(
    video: VideoPath,
    start: Start = 0.0,
    end: End = None,
    out: OutPath = None,
    params: ParamsFile = None,
    as_json: AsJson = False,
) -> None:
    """Mine keyframes and write them as a contact sheet.

    Finds them in VIDEO as mine_keyframes does. Lists them best first, with time, role in the action (start, contact,
    peak, end) and score. The whole span is read at ten frames per second, so give --start and --end for a long video.

    \b
    Examples:
      egovlm keyframes kitchen.mp4
      egovlm keyframes kitchen.mp4 --json | jq '.keyframes[0]'
    """
    from pipeline.cli.place import find_params

    span = open_span(video, start, end)
    whole = find_params(params)
    settings = whole.mine_keyframes
    with waiting(f"reading {span.end_seconds - span.start_seconds:.0f} s of video ..."):
        found = mine_span(span, settings, whole.machine.clip_seconds_limit)
    where = out or Path(f"{video.stem}.keyframes.jpg")
    captions = [f"{i}: {k['pts_seconds']:.2f} s {k['role']} ({k['score']:.2f})" for i, k in enumerate(found, 1)]
    _save_sheet(video, [k["pts_seconds"] for k in found], captions, where)
    lines = [f"{where}: {len(found)} candidates by {settings.signal}, best first (scores from 0 to 1)", *captions]
    emit({"picture": str(where), "signal": settings.signal, "keyframes": found}, "\n".join(lines), as_json)


def mine_span(span: Span, settings: Any, seconds_limit: float) -> list[dict[str, Any]]:
    """Candidates as `mine_keyframes` finds them, best first: `pts_seconds`, `score` in [0, 1] and `role` in an action.

    Raises:
        ItemError: the video is unusable.
    """
    from dataclasses import fields

    from pipeline.keyframes.mining import MiningSettings, MiningTask, mine

    chosen = MiningSettings(**{field.name: getattr(settings, field.name) for field in fields(MiningSettings)})
    times = (span.start_seconds, span.end_seconds)
    row = mine(MiningTask(span.path.stem, span.path, *times, (), chosen, seconds_limit))
    found = zip(row["candidate_seconds"], row["candidate_scores"], row["candidate_roles"], strict=True)
    return [{"pts_seconds": round(pts, 3), "score": round(score, 4), "role": role} for pts, score, role in found]


def _save_sheet(video: Path, seconds: list[float], captions: list[str], where: Path) -> None:
    import numpy as np

    from pipeline.decode.backends import decode_frames
    from pipeline.frames.geometry import FrameSize
    from pipeline.pictures.sheets import frames_sheet, save_sheet

    order = np.argsort(seconds)
    images = decode_frames(video, np.sort(seconds), FrameSize(PICTURE_PIXELS, 2)).images
    by_rank = dict(zip(order.tolist(), images, strict=True))
    save_sheet(frames_sheet([by_rank[i] for i in range(len(seconds))], captions, columns=4, width=240), where)


def register(app: typer.Typer) -> None:
    """Add `keyframes` to the command."""
    app.command()(keyframes)
