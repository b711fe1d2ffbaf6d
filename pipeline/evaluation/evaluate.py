"""An evaluation from questions to all predictions: both models, every run, one progress bar."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from tqdm import tqdm

from pipeline.evaluation.backends import TransformersBackend
from pipeline.evaluation.keyframe_quality import named_frames
from pipeline.evaluation.predict import EvaluatedModel, EvaluationSetup, LoadClip, plan, predict
from pipeline.evaluation.response_cache import ResponseCache, code_digest, folder_digest
from pipeline.evaluation.runs import HEADLINE, Run, modes_of, run_order
from pipeline.evaluation.views import Context
from pipeline.models.device import resolve_device
from pipeline.models.policy import load_policy
from pipeline.models.vision import FeatureCache, tower_digest
from pipeline.params import EvaluateEgoschema, Machine, Prompts
from pipeline.records import Prediction, Question


def load_models(
    folders: Mapping[str, Path], settings: EvaluateEgoschema, machine: Machine, features: Path
) -> list[EvaluatedModel]:
    """Load the models named in `folders`. Models with the same vision tower share the features of clips, which are
    also kept below `features` if params say so."""
    digests = {name: folder_digest(folder) for name, folder in folders.items()}
    device = _place(settings, machine)
    caches: dict[str, FeatureCache] = {}
    found = []
    for name, folder in folders.items():
        policy = load_policy(folder, device=device, dtype=getattr(torch, settings.dtype))
        tower = tower_digest(policy)
        if tower not in caches:
            store = features if machine.features_on_disk else None
            caches[tower] = FeatureCache(policy, machine.feature_cache_megabytes, store)
        found.append(EvaluatedModel(name, digests[name], TransformersBackend(policy, caches[tower])))
    return found


def _place(settings: EvaluateEgoschema, machine: Machine) -> str:
    """The device to run on; on CPU the number of threads is set, as it can change the last bits of a result."""
    device = resolve_device(machine)
    if device == "cpu":
        torch.set_num_threads(settings.threads)
    return device


def evaluate_models(
    models: Sequence[EvaluatedModel],
    questions: Sequence[Question],
    parents: Mapping[str, str],
    load_clip: LoadClip,
    cache: ResponseCache,
    settings: EvaluateEgoschema,
    prompts: Prompts,
    seed: int,
) -> list[Prediction]:
    """All predictions of all runs of all models, in a fixed order. Cached answers are not computed again."""
    modes = modes_of(settings, prompts)
    runs = run_order(settings.runs)
    context = Context(questions, parents, {}, seed, settings.permutations, settings.control_questions)
    planned = {name: len(plan(Run("", name).view, context)) for name in runs}
    total = len(models) * sum(planned.values())
    found: list[Prediction] = []
    with tqdm(total=total, unit="question", desc="evaluate", mininterval=1.0) as bar:
        setup = EvaluationSetup(modes, load_clip, cache, settings.batch_size, seed, code_digest(), bar.update)
        for model in models:
            seen = context
            for name in runs:
                total += len(plan(Run(model.name, name).view, seen)) - planned[name]
                bar.total = total
                predictions = predict(Run(model.name, name), model, setup, seen)
                found += predictions
                if name == HEADLINE:
                    seen = replace(context, named_frames=named_frames(predictions))
                if name.startswith("reasoning/"):
                    written = {p.question_id: p for p in predictions}
                    seen = replace(seen, written={**seen.written, Run("", name).view: written})
    return found
