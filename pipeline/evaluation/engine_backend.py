"""The engine as a backend: it holds one of the models at a time. Likelihoods are scored by our own forward, which an
engine is not needed for: one pass, and nothing is written."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from pipeline.engine.engine import Engine
from pipeline.engine.equality import check_equality
from pipeline.engine.options import engine_name, engine_options
from pipeline.evaluation.backends import Request, TransformersBackend
from pipeline.evaluation.predict import EvaluatedModel
from pipeline.models.generate import Completion
from pipeline.models.sampling import Sampling
from pipeline.params import EvaluateEgoschema, Machine


class EngineBackend:
    """See `Backend`. `own` gives tokens and likelihoods, and is what the engine is held to."""

    def __init__(self, engine: Engine, folder: Path, version: str, own: TransformersBackend) -> None:
        self.engine, self.folder, self.version, self.own = engine, folder, version, own

    def complete(
        self, requests: Sequence[Request], sampling: Sampling, samples: int, seeds: Sequence[str]
    ) -> list[list[Completion]]:
        """See `Backend.complete`; the engine gets this model's weights if it holds another's."""
        clips = {r.key: r.frames for r in requests if r.frames is not None}
        if self.engine.version != self.version:
            self.engine.load(self.folder, self.version)
            check_equality(self.engine, self.own.policy, requests[0].messages, clips)
        prompts = [r.messages for r in requests]
        return self.engine.complete(self.own.policy, prompts, clips, sampling, samples, seeds)

    def score(self, requests: Sequence[Request], continuations: Sequence[Sequence[str]]) -> list[list[float]]:
        """See `Backend.score`."""
        return self.own.score(requests, continuations)


@contextmanager
def with_engine(
    models: Sequence[EvaluatedModel],
    folders: Mapping[str, Path],
    settings: EvaluateEgoschema,
    machine: Machine,
    room: Path,
) -> Iterator[list[EvaluatedModel]]:
    """The models behind the backend that `settings` name. An engine ends with the block; its answers are kept apart
    from those of another engine and of our own."""
    if settings.backend == "transformers":
        yield list(models)
        return
    options = engine_options(machine, settings.dtype, settings.threads, room)
    name = engine_name(Path(machine.engine.environment))
    with Engine(options) as engine:
        yield [
            replace(m, digest=f"{m.digest}|{name}", backend=EngineBackend(engine, folders[m.name], m.digest, m.backend))
            for m in models
            if isinstance(m.backend, TransformersBackend)
        ]
