"""Reliable checkpoints: written to a temporary folder, sealed with a manifest of hashes, renamed, bounded in number.

<folder>/checkpoint-000020/{model.safetensors, optimizer.pt, trainer_state.json ..., manifest.json}
<folder>/writing/          what a killed process left half-written; cleared at the next start
"""

import hashlib
import json
import shutil
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import ModelError
from pipeline.files import sha256_of, write_json

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of one run.

    `origin` is what determines the run (flattened params and data hashes); a checkpoint with another origin is
    refused. The `keep` newest ones stay. Of the one with the best dev accuracy only the weights stay: no run resumes
    from it, and the optimizer's state is two thirds of a checkpoint.
    """

    folder: Path
    origin: Mapping[str, Any]
    keep: int

    @property
    def writing(self) -> Path:
        """Where unfinished checkpoints are written."""
        return self.folder / "writing"

    def start(self) -> Path | None:
        """Clear what a killed run left half-written. Returns the newest complete checkpoint, or None to start again.

        Raises:
            ModelError: the newest complete checkpoint was made with other params, code or data; the message names them.
        """
        shutil.rmtree(self.writing, ignore_errors=True)
        for path in reversed(self.all()):
            problem = _damage(path)
            if problem is None:
                self._refuse_other_origin(path)
                if _resumable(path):
                    return path
                problem = "only its weights were kept (to choose the best step), not the optimizer's state"
            print(f"train_grpo: {path.name} is skipped: {problem}", file=sys.stderr)
        return None

    def best(self, scores: Mapping[int, float]) -> int | None:
        """The step with the best dev accuracy among complete checkpoints; None if there is none."""
        step, left = best_step(scores), dict(scores)
        while step is not None:
            problem = _damage(self.path(step))
            if problem is None:
                return step
            print(f"train_grpo: step {step} is the best, but its checkpoint cannot be used: {problem}", file=sys.stderr)
            del left[step]
            step = best_step({s: score for s, score in left.items() if self.path(s).is_dir()})
        return None

    def all(self) -> list[Path]:
        """Folders of checkpoints, oldest first."""
        return sorted(p for p in self.folder.glob("checkpoint-*") if p.is_dir())

    def path(self, step: int) -> Path:
        """Folder of the checkpoint of one step."""
        return self.folder / f"checkpoint-{step:06d}"

    def commit(self, writing: Path, step: int, scores: Mapping[int, float]) -> None:
        """Seal and publish the checkpoint of `step` that lies in `writing`, then drop the ones no longer wanted."""
        staged = writing / f"checkpoint-{step}"
        files = {p.relative_to(staged).as_posix(): sha256_of(p) for p in sorted(staged.rglob("*")) if p.is_file()}
        write_json(staged / MANIFEST, {"step": step, "origin": dict(self.origin), "files": files})
        shutil.rmtree(self.path(step), ignore_errors=True)
        staged.replace(self.path(step))
        self._prune(step, scores)

    def _prune(self, step: int, scores: Mapping[int, float]) -> None:
        wanted = {p.name for p in self.all()[-self.keep :]} | {self.path(step).name}
        best = best_step(scores)
        for path in self.all():
            if path.name in wanted:
                continue
            if best is not None and path == self.path(best):
                _drop_optimizer(path)
            else:
                shutil.rmtree(path)

    def _refuse_other_origin(self, path: Path) -> None:
        made_under = json.loads((path / MANIFEST).read_text(encoding="utf-8"))["origin"]
        now = json.loads(json.dumps(dict(self.origin)))
        differing = sorted(k for k in made_under.keys() | now.keys() if made_under.get(k) != now.get(k))
        if differing:
            changes = ", ".join(f"{k} ({made_under.get(k)!r} -> {now.get(k)!r})" for k in differing[:5])
            raise ModelError(
                f"{path} was made with other params, code or data: {changes}; set them back to resume that run, or "
                f"delete {self.folder} to start again"
            )


def dev_scores(log: Iterable[Mapping[str, Any]]) -> dict[int, float]:
    """Dev accuracy by step, from a trainer's log."""
    return {int(row["step"]): float(row["dev_accuracy"]) for row in log if "dev_accuracy" in row}


def best_step(scores: Mapping[int, float]) -> int | None:
    """The step after 0 with the best dev accuracy, the later one of equals; None if nothing was measured."""
    measured = {step: score for step, score in scores.items() if step > 0}
    return max(measured, key=lambda step: (measured[step], step)) if measured else None


def _drop_optimizer(path: Path) -> None:
    """Keep only the files of a policy. The manifest is written first, so that a kill in between only leaves extra
    files."""
    manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
    manifest["files"] = {n: digest for n, digest in manifest["files"].items() if not n.startswith("optimizer")}
    write_json(path / MANIFEST, {**manifest, "weights_only": True})
    for dropped in path.glob("optimizer*"):
        shutil.rmtree(dropped) if dropped.is_dir() else dropped.unlink()


def _resumable(path: Path) -> bool:
    return not json.loads((path / MANIFEST).read_text(encoding="utf-8")).get("weights_only", False)


def _damage(path: Path) -> str | None:
    """What is wrong with a checkpoint folder; None if it is complete."""
    try:
        files = json.loads((path / MANIFEST).read_text(encoding="utf-8"))["files"]
        changed = [name for name, digest in files.items() if sha256_of(path / name) != digest]
    except (OSError, ValueError, KeyError, AttributeError) as error:
        return f"torn ({type(error).__name__})"
    return f"{changed[0]} does not have the hash it was sealed with" if changed else None


def digest_path(path: Path) -> str:
    """SHA-256 of a file, of a folder's manifest.json (which contains hashes) if there is one, or of all its files."""
    if path.is_dir() and (path / MANIFEST).is_file():
        return sha256_of(path / MANIFEST)
    if path.is_file():
        return sha256_of(path)
    names = sorted(p for p in path.rglob("*") if p.is_file())
    lines = "".join(f"{p.relative_to(path).as_posix()} {sha256_of(p)}\n" for p in names)
    return hashlib.sha256(lines.encode()).hexdigest()
