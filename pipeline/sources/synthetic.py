"""The synthetic world as a source of videos and questions, like any other."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from pipeline.errors import ItemError, ParamsError
from pipeline.records import Annotation, Split
from pipeline.sections import Positive
from pipeline.sources import encode
from pipeline.sources.base import BadRow, Source, SourceParams, VideoItem
from pipeline.sources.encode import write_mp4
from pipeline.synthetic import render, seeds, world
from pipeline.synthetic.families import FAMILIES, actions_needed, ask
from pipeline.synthetic.render import Renderer
from pipeline.synthetic.seeds import stream
from pipeline.synthetic.world import Script, WorldSettings, make_script

LICENCE = "MIT"
GOP_SECONDS = (0.5, 1.0, 2.5, 25.0)  # distances of I-frames that occur in practice, from intra-heavy to one per file
SPLITS: tuple[Split, ...] = ("train", "dev", "test")


class SyntheticParams(SourceParams):
    """The rendered egocentric world."""

    videos_train: int = Field(ge=0)
    videos_dev: int = Field(ge=0)
    videos_test: int = Field(ge=0)
    questions_per_video: Positive
    families: tuple[str, ...]
    width: Positive
    height: Positive
    frames_per_second: Positive
    seconds_min: float = Field(gt=0)
    seconds_max: float = Field(gt=0)


class SyntheticSource(Source):
    """Clips rendered and encoded on demand; every clip follows from the seed and its id alone."""

    section: ClassVar[type[SourceParams]] = SyntheticParams

    def __init__(self, name: str, seed: int, params: SyntheticParams) -> None:
        super().__init__(name, seed)
        unknown = sorted(set(params.families) - set(FAMILIES))
        if unknown or not params.families:
            raise ParamsError(f"sources.{name}.families: {unknown or 'empty'}; choose from {', '.join(FAMILIES)}")
        if params.seconds_max < params.seconds_min:
            raise ParamsError(f"sources.{name}: seconds_max is below seconds_min")
        self.params = params

    def local_paths(self) -> Sequence[Path]:
        """None: everything is synthetic."""
        return []

    def list_videos(self) -> Sequence[VideoItem]:
        return [
            VideoItem(video_id, f"{video_id}.mp4", parent_video_id=video_id, licence=LICENCE)
            for video_id, _, _ in self._ids()
        ]

    def _ids(self) -> list[tuple[str, Split, int]]:
        sizes = (self.params.videos_train, self.params.videos_dev, self.params.videos_test)
        pairs = [(split, i) for split, size in zip(SPLITS, sizes, strict=True) for i in range(size)]
        return [(f"{self.name}_{split}_{i:05d}", split, i) for split, i in pairs]

    def script(self, video_id: str) -> Script:
        """What happens in a video.

        Raises:
            ItemError: the id does not belong to this source.
        """
        for known, split, index in self._ids():
            if known == video_id:
                return self._script(known, split, index)
        raise ItemError("missing_file", f"{self.name} has no video {video_id}")

    def _script(self, video_id: str, split: Split, index: int) -> Script:
        actions = actions_needed(self.params.families)
        settings = WorldSettings(self.params.seconds_min, self.params.seconds_max, actions)
        return make_script(self.seed, video_id, split, index, settings)

    def fetch(self, item: VideoItem, folder: Path) -> Path:
        script, size = self.script(item.video_id), (self.params.width, self.params.height)
        rate = self.params.frames_per_second
        renderer = Renderer(script, *size, self.seed)
        gop_seconds = stream(self.seed, script.video_id, "gop").choice(GOP_SECONDS)
        frames = (renderer.draw(i / rate) for i in range(round(script.duration_seconds * rate)))
        path = folder / item.filename
        write_mp4(path, frames, size, rate, max(1, round(float(gop_seconds) * rate)))
        return path

    def annotations(self) -> Iterator[Annotation | BadRow]:
        for video_id, split, index in self._ids():
            script = self._script(video_id, split, index)
            for family in self._families(index):
                yield self._annotation(script, family)

    def _families(self, index: int) -> list[str]:
        """The families asked about video `index`; they take turns if there are more families than questions per
        video."""
        names = self.params.families
        return [names[(index + i) % len(names)] for i in range(min(self.params.questions_per_video, len(names)))]

    def _annotation(self, script: Script, family: str) -> Annotation:
        asked = ask(script, family, self.seed)
        return Annotation(
            question_id=f"{script.video_id}_{family}",
            video_id=script.video_id,
            source=self.name,
            licence=LICENCE,
            family=family,
            question=asked.question,
            options=asked.options,
            answer=asked.answer,
            start_seconds=0.0,
            end_seconds=script.duration_seconds,
            keyframe_seconds=asked.key_seconds,
            split=script.split if script.split != "pretrain" else None,
        )

    def fingerprint(self, item: VideoItem) -> str:
        """Seed, settings that decide pixels, the code of the world and the codec's version."""
        deciding = ("width", "height", "frames_per_second", "seconds_min", "seconds_max")
        settings = {name: getattr(self.params, name) for name in deciding}
        settings |= {"actions": actions_needed(self.params.families), "seed": self.seed, "id": item.video_id}
        text = json.dumps(settings, sort_keys=True) + _code_digest() + version("av") + version("opencv-python-headless")
        return hashlib.sha256(text.encode()).hexdigest()


@lru_cache(maxsize=1)
def _code_digest() -> str:
    """A digest of the modules that determine a video's bytes."""
    files = [str(module.__file__) for module in (seeds, world, render, encode)]
    return hashlib.sha256(b"".join(Path(file).read_bytes() for file in [*files, __file__])).hexdigest()
