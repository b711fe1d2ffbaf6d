"""The `egovlm` command; `python -m pipeline` is the same.

A command imports what it needs when it runs, so that `egovlm --help` stays fast. Commands that need orchestration
(`run`, `compare`, `promote` ...) live in `flows`. They are found through the entry points `egovlm.commands`; the
pipeline itself never imports them.
"""

import sys
from collections.abc import Sequence
from importlib.metadata import entry_points, version
from typing import Annotated

import typer

from pipeline.cli import ask, doctor, init, keyframes, profile, push, submit, videos
from pipeline.environment import apply_defaults
from pipeline.errors import EgovlmError

PLUGIN_GROUP = "egovlm.commands"


def build_app() -> typer.Typer:
    """The whole command: this package's commands and those of every installed plug-in (`register(app)`)."""
    app = typer.Typer(
        name="egovlm",
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    )
    app.callback()(_root)
    for room in (doctor, init, profile, videos, keyframes, ask, submit, push):
        room.register(app)
    for plugin in sorted(entry_points(group=PLUGIN_GROUP), key=lambda p: p.name):
        plugin.load()(app)
    return app


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"egovlm {version('egovlm')}")
        raise typer.Exit


def _root(
    show_version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_version)
    ] = False,
) -> None:
    """Egocentric video in, a GRPO-trained reasoning model and an honest EgoSchema score out.

    Start with `egovlm doctor`, then `egovlm run`. Afterwards `egovlm ask` asks the trained model questions.
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. The exit code is 0, or 1 for an expected error (one line on stderr), or 2 for wrong usage."""
    apply_defaults()
    given = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if not_text := next((text for text in given if not is_text(text)), None):
        print(f"egovlm: {not_text!a} is not UTF-8 text: convert it, or rename the file", file=sys.stderr)
        return 2
    app = build_app()
    try:
        code = app(args=given, prog_name="egovlm", standalone_mode=False)
    except typer.TyperException as error:
        print(f"egovlm: {error.format_message()} (`egovlm {_command(app, given)}--help` shows how)", file=sys.stderr)
        return 2
    except EgovlmError as error:
        print(f"egovlm: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # `egovlm ... | head`: the reader has closed the pipe
        sys.stdout = None  # nothing is flushed at exit
        return 141
    except OSError as error:  # for example a picture that cannot be written, or a full disk
        name = str(error.filename or "system").removesuffix(".partial")
        print(f"egovlm: {name}: {error.strerror or error}", file=sys.stderr)
        return 1
    except typer.Abort:
        return 130
    return code if isinstance(code, int) else 0


def is_text(argument: str) -> bool:
    """Whether a command-line argument is Unicode text (other bytes arrive as lone surrogates)."""
    try:
        argument.encode()
    except UnicodeEncodeError:
        return False
    return True


def _command(app: typer.Typer, given: Sequence[str]) -> str:
    """The command that a message should name; "" if there is no such command."""
    names = {c.name or c.callback.__name__ for c in app.registered_commands if c.callback}
    return f"{given[0]} " if given[0] in names else ""
