"""What is sent from this machine: nothing, unless the section `publish` of params.yaml names where to.

A remote called `origin` is no permission to publish: everybody who cloned this project has one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from dvc.config import Config

from flows.dvc.project import Project
from pipeline.errors import ParamsError
from pipeline.params import load_params


@dataclass(frozen=True)
class Destination:
    """Where runs and promotions are sent: refs to `git_remote`, data to `dvc_remote` (None: data stay here)."""

    git_remote: str
    dvc_remote: str | None


def destination(project: Project) -> Destination | None:
    """Where things are sent; None: nowhere.

    Raises:
        ParamsError: `publish` names a remote that this checkout lacks.
    """
    settings = load_params(project.root / "params.yaml").publish
    if settings.git_remote is None:
        return None
    _check("git_remote", settings.git_remote, project.git("remote").split(), "git remote add NAME URL")
    if settings.dvc_remote is not None:
        known = list(_dvc_config(project)["remote"])
        _check("dvc_remote", settings.dvc_remote, known, "dvc remote add NAME URL")
    return Destination(settings.git_remote, settings.dvc_remote)


def sent(refs: Sequence[str], to: Destination) -> str:
    """What was sent, and where to, as a sentence."""
    if not refs:
        return f"nothing new for {to.git_remote}"
    data = f", data of experiments to {to.dvc_remote}" if to.dvc_remote else ", no data (publish.dvc_remote is null)"
    return f"sent to {to.git_remote}: {' '.join(refs)}{data}"


def for_another_machine(project: Project) -> tuple[str, str]:
    """The git and the DVC remote through which a stage travels to a GPU worker.

    Raises:
        ParamsError: `publish` does not name both, or the second is not the remote that DVC takes the result from.
    """
    to = destination(project)
    if to is None or to.dvc_remote is None:
        raise ParamsError(
            "train_on=gpu sends code and data to another machine: name remotes that both machines reach, as "
            "publish.git_remote and publish.dvc_remote in params.yaml"
        )
    default = _dvc_config(project)["core"].get("remote")
    if default != to.dvc_remote:
        raise ParamsError(
            f"train_on=gpu fetches its result from DVC's default remote ({default or 'none'}), but "
            f"publish.dvc_remote is {to.dvc_remote}: make them the same with `dvc remote default {to.dvc_remote}`"
        )
    return to.git_remote, to.dvc_remote


def _dvc_config(project: Project) -> Config:
    return Config(dvc_dir=str(project.root / ".dvc"))


def _check(key: str, name: str, known: list[str], remedy: str) -> None:
    if name not in known:
        here = ", ".join(known) or "none"
        raise ParamsError(f"publish.{key} names {name!r}, which is not a remote here (found: {here}): `{remedy}`")
