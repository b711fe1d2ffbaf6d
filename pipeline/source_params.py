"""The types of `download_videos.sources`: one section per kind of source."""

from typing import Annotated, Literal

from pydantic import Field

from pipeline.sections import Positive, Section


class SyntheticSource(Section):
    """The rendered egocentric world."""

    kind: Literal["synthetic"]
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


class RealSource(Section):
    """What every source of real videos says; relative paths are from the folder of params.yaml.

    `format` is the form of the `questions` file (see pipeline/sources/formats); `frame_rate` is the frames per
    second of its frame numbers, where it has any and does not say itself (null: each video's own, as measured).
    """

    questions: str
    format: Literal["native", "egoit", "egoplan", "egotaskqa", "hd_epic", "qaego4d"]
    frame_rate: float | None = Field(gt=0)
    split: Literal["train", "dev", "test", "by_hash"]
    licence: str


class LocalSource(RealSource):
    """A folder of videos."""

    kind: Literal["local"]
    folder: str


class UrlsSource(RealSource):
    """A list of addresses (CSV, JSONL) with `video_id, url`, and where known `sha256`, `md5`, `bytes`,
    `parent_video_id`."""

    kind: Literal["urls"]
    manifest: str
    retries: int = Field(ge=0)
    timeout_seconds: float = Field(gt=0)
    max_bytes: Positive


class HubSource(RealSource):
    """A dataset repository of the Hugging Face hub at a pinned revision (40 hex digits)."""

    kind: Literal["hub"]
    repository: str
    revision: str = Field(pattern="^[0-9a-f]{40}$")
    patterns: tuple[str, ...]


class Ego4dSource(RealSource):
    """Ego4D by its official command line (`pip install ego4d`, licence accepted, AWS keys in `aws_profile`)."""

    kind: Literal["ego4d"]
    version: Literal["v1", "v2", "v2_1"]
    dataset: Literal["full_scale", "video_540ss", "clips"]
    uids: str
    aws_profile: str


class EgoschemaSource(Section):
    """The benchmark. `videos` holds `<q_uid>.mp4` files (`files`: also Kaggle's layout), zip chunks of them
    (`zips`), either (`auto`), or the Ego4D recordings `<video_uid>.mp4` to cut them from (`ego4d`). The files
    are pinned: option order differs by version."""

    kind: Literal["egoschema"]
    questions: str
    questions_sha256: str = Field(pattern="^[0-9a-f]{64}$")
    answers: str | None
    windows: str
    videos: str
    layout: Literal["auto", "files", "zips", "ego4d"]
    only_answered: bool
    licence: str


Source = Annotated[
    SyntheticSource | LocalSource | UrlsSource | HubSource | Ego4dSource | EgoschemaSource, Field(discriminator="kind")
]
