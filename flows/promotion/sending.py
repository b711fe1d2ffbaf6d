"""Send the registry's tags to the git remote that `publish` names: a separate step, retried by the next promotion."""

from flows.dvc.project import Project
from flows.promotion.memory import unremember
from flows.promotion.registry import MODEL, registry_tags
from pipeline.errors import StageError

_UNSENT = "unsent_registry"


def send_registry(project: Project, remote: str) -> list[str]:
    """Send the registry's tags that `remote` lacks; returns their refs.

    Raises:
        StageError: the remote cannot be reached or refuses. The tags stay here, and the next promotion sends them.
            If the remote now has other models under the same names, the tags that only this machine has are withdrawn.
    """
    _note_unsent(project, True)  # before the attempt: it may be killed
    ours = registry_tags(project)
    lines = project.git("ls-remote", "--tags", "--refs", remote, f"refs/tags/{MODEL}*").splitlines()
    theirs = {ref.removeprefix("refs/tags/"): sha for sha, ref in (line.split() for line in lines)}
    only_here = [tag for tag, sha in ours.items() if theirs.get(tag) != sha]
    taken = [tag for tag in only_here if tag in theirs]
    if taken:
        project.git("tag", "--delete", *only_here)
        unremember(project, only_here)
        _note_unsent(project, False)
        raise StageError(
            f"{remote} received another {taken[0]} meanwhile: this machine's {', '.join(only_here)} are withdrawn; "
            "`egovlm promote` compares the model with the new champion"
        )
    refs = [f"refs/tags/{tag}" for tag in only_here]
    if refs:
        project.git("push", "--quiet", "--atomic", remote, *(f"{ref}:{ref}" for ref in refs))
    _note_unsent(project, False)
    return refs


def is_registry_unsent(project: Project) -> bool:
    """Whether the last attempt to send the registry's tags failed."""
    return (project.private / _UNSENT).exists()


def _note_unsent(project: Project, unsent: bool) -> None:
    project.private.mkdir(parents=True, exist_ok=True)
    note = project.private / _UNSENT
    note.touch() if unsent else note.unlink(missing_ok=True)
