"""Predictions of a git revision, an experiment or a file, for `egovlm compare`."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from dvc.api import DVCFileSystem

from flows.dvc.project import Project
from pipeline.comparison.compare import Flip, read_predictions
from pipeline.errors import ArtifactError
from pipeline.frames.store import FrameStore
from pipeline.layout import FRAMES, PREDICTED, QUESTIONS
from pipeline.pictures.sheets import frames_sheet, save_sheet
from pipeline.records import Prediction, Question, read_rows


def predictions_of(project: Project, where: str) -> list[Prediction]:
    """What was predicted at `where`: a predictions.parquet, `workspace`, a git revision or the name of an experiment.

    Raises:
        ArtifactError: the revision does not exist, or its predictions are neither in the DVC cache nor in a remote.
    """
    if where == "workspace":
        return read_predictions(project.root / PREDICTED)
    if Path(where).is_file():
        return read_predictions(Path(where))
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "predictions.parquet")
        try:
            DVCFileSystem(str(project.root), rev=where).get_file(PREDICTED, str(target))
        except Exception as error:  # DVC's many errors: no such revision, no cache, no remote
            reason = " ".join(str(error).split())
            raise ArtifactError(
                f"the predictions of {where} are unavailable ({reason}): name a file, `workspace`, a revision or an "
                "experiment (see `dvc exp show`); `dvc fetch` gets what only a remote has"
            ) from error
        return read_predictions(target)


def questions_here(project: Project) -> dict[str, Question]:
    """Questions of the workspace by id, for their texts; empty if there is no dataset."""
    path = project.root / QUESTIONS
    return {q.question_id: q for q in read_rows(path, Question)} if path.is_file() else {}


def save_pictures(project: Project, flips: Sequence[Flip], questions: Mapping[str, Question], folder: Path) -> None:
    """The frames of each flipped question as `folder`/<question id>.jpg; those without frames are left out."""
    store = FrameStore(project.root / FRAMES)
    for flip in flips:
        question = questions.get(flip.after.question_id)
        if question is None or question.clip_id not in store:
            continue
        frames = store.load(question.clip_id)
        captions = [f"{t - question.start_seconds:.1f} s" for t in frames.pts_seconds]
        sheet = frames_sheet(list(frames.images), captions, "", flip.after.keyframe_frames or (), 6, 200)
        save_sheet(sheet, folder / f"{question.question_id}.jpg")
