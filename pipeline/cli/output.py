"""What a command prints: text for people, one JSON document for scripts."""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]


def emit(value: Any, text: str, as_json: bool) -> None:
    """Print `value` as JSON, or `text`."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) if as_json else text)


def columns(rows: Sequence[tuple[str, ...]]) -> str:
    """`rows` as aligned text columns, two spaces apart; the last column is left as it is."""
    if not rows:
        return ""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]) - 1)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]) for row in rows
    )


@contextmanager
def waiting(text: str) -> Iterator[None]:
    """Show what is being waited for at a terminal; removed afterwards."""
    show = sys.stderr.isatty()
    if show:
        print(text, end="", file=sys.stderr, flush=True)
    try:
        yield
    finally:
        if show:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
