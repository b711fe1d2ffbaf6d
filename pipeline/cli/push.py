"""`egovlm push`: the policy and its card to the Hugging Face hub, only when asked."""

import os
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.output import AsJson, emit
from pipeline.layout import MODEL_CARD, POLICY

NOT_SENT = ("README.md",)  # the report's card, which knows the score, is sent in its place
SENT = (".safetensors", ".json", ".jinja", ".txt", ".model")
SENT_BY_NAME = ("LICENSE", "LICENSE.md", "NOTICE")


def push(
    repository: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="The model repository on the hub.")],
    folder: Annotated[Path, typer.Option(help="A policy's folder.")] = Path(POLICY),
    card: Annotated[Path, typer.Option(help="The model card that becomes the README.")] = Path(MODEL_CARD),
    public: Annotated[bool, typer.Option("--public", help="Make a new repository public; default: private.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Send without asking.")] = False,
    as_json: AsJson = False,
) -> None:
    """Upload the policy and its model card to the hub.

    Nothing is sent before you agree. The token comes from HF_TOKEN or `hf auth login`. The hub checks the card before
    anything is uploaded. Everything arrives in one commit, or nothing does.

    \b
    Examples:
      egovlm push acme/egovlm-3b
      egovlm push acme/egovlm-3b --public --yes
    """
    files = files_to_send(folder, card)
    size = sum(path.stat().st_size for path in files.values())
    told = (
        f"{len(files)} files, {size / 1e6:.1f} MB, to {repository} ({'public' if public else 'private'} if it is new)"
    )
    typer.echo(f"{told}\n{_licence(card)}", err=True)
    if not yes:
        typer.confirm("Send them?", abort=True, err=True)
    url = send(repository, files, public)
    emit({"commit": url, "files": sorted(files)}, url, as_json)


def files_to_send(folder: Path, card: Path) -> dict[str, Path]:
    """Name in the repository -> file. Weights are safetensors only.

    Raises:
        ArtifactError: the policy or its card is missing, or the folder holds a file of a kind that is never sent.
    """
    from pipeline.errors import ArtifactError

    if not (folder / "config.json").is_file():
        raise ArtifactError(f"no policy in {folder}: `egovlm run` makes one, or name another by --folder")
    if not card.is_file():
        raise ArtifactError(f"no model card at {card}: `egovlm run write_report` makes it, or name another by --card")
    found = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    strange = [
        name for name, path in found.items() if path.suffix not in SENT and path.name not in (*SENT_BY_NAME, *NOT_SENT)
    ]
    if strange:
        raise ArtifactError(
            f"{folder} holds {strange[0]}, which is never sent: weights are safetensors, the rest is text"
        )
    return {name: path for name, path in found.items() if name not in NOT_SENT} | {"README.md": card}


def _licence(card: Path) -> str:
    """What the card says of licences, as a reminder before weights leave the machine."""
    from huggingface_hub import ModelCard

    data = ModelCard.load(card).data
    name = getattr(data, "license_name", None) or data.license
    return f"licence in the card: {name}; base model: {data.base_model or 'made by this pipeline'}"


def send(repository: str, files: dict[str, Path], public: bool) -> str:
    """Upload in one commit; its address.

    Raises:
        StageError: the hub refused or was not reached.
    """
    from httpx import HTTPError
    from huggingface_hub import CommitOperationAdd, HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    from pipeline.errors import ParamsError, StageError

    api = HfApi(endpoint=os.environ.get("HF_ENDPOINT"))
    operations = [CommitOperationAdd(name, path) for name, path in sorted(files.items())]
    try:
        api.create_repo(repository, private=not public, exist_ok=True)
        return str(api.create_commit(repository, operations, commit_message="A policy trained by egovlm").commit_url)
    except HFValidationError as error:
        raise ParamsError(f"{repository!r} is no repository name: expected OWNER/NAME") from error
    except (HfHubHTTPError, HTTPError, OSError, ValueError) as error:
        first = " ".join(str(error).split())[:300]
        raise StageError(f"the hub took nothing ({first}): check HF_TOKEN and your rights on {repository}") from error


def register(app: typer.Typer) -> None:
    """Add `push` to the command."""
    app.command()(push)
