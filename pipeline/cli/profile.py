"""`egovlm profile`: merge a profile into params.yaml."""

from pathlib import Path
from typing import Annotated

import typer


def profile(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="A file name in profiles/, without .yaml.", show_default=False)
    ],
    root: Annotated[Path, typer.Option(help="The checkout.")] = Path(),
) -> None:
    """Merge a profile into params.yaml, comments kept.

    The profile is profiles/NAME.yaml; `git diff` shows what changed.

    \b
    Examples:
      egovlm profile full      # Qwen2.5-VL-3B and EgoSchema on GPUs
      git diff params.yaml     # what it changed
      git checkout params.yaml # back to the embedded default
    """
    from pipeline.profiles import apply_profile

    apply_profile(root, name)
    typer.echo(f"params.yaml now holds profile {name}: `git diff params.yaml` shows what changed, `dvc repro` runs it")


def register(app: typer.Typer) -> None:
    """Add `profile` to the command."""
    app.command()(profile)
