"""Source `hub`: files of a dataset repository on the Hugging Face hub, at one revision."""

import os
import shutil
from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from pipeline.errors import ItemError, StageError
from pipeline.sources.base import SourceParams, VideoItem
from pipeline.sources.folder import sort_out, why_not
from pipeline.sources.paths import check_relative
from pipeline.sources.real import RealParams, RealSource
from pipeline.workspace import stop_if_full


class HubParams(RealParams):
    """A dataset repository of the Hugging Face hub at a pinned revision (40 hex digits)."""

    repository: str
    revision: str = Field(pattern="^[0-9a-f]{40}$")
    patterns: tuple[str, ...]


class HubSource(RealSource):
    """Video files that match one of the patterns; `questions` is a path inside the repository. The hub gives size
    and sha256 of large files, so a damaged or replaced file is detected."""

    section: ClassVar[type[SourceParams]] = HubParams

    def __init__(self, name: str, seed: int, params: HubParams) -> None:
        super().__init__(name, seed, params)
        self.repository, self.revision, self.patterns = params.repository, params.revision, params.patterns

    def local_paths(self) -> Sequence[Path]:
        """None: `questions` is a path inside the repository."""
        return []

    def list_videos(self) -> Sequence[VideoItem]:
        """Files of the pinned revision."""
        return [self.item(path, size, sha256) for path, size, sha256 in self._files() if self._why_not(path) is None]

    def left_out(self) -> Mapping[str, Sequence[str]]:
        """The repository's other files, by reason; not its questions."""
        names = (path for path, *_ in self._files() if path != self.params.questions)
        return sort_out(names, self._why_not).left_out

    def _files(self) -> list[tuple[str, int, str | None]]:
        from httpx import HTTPError
        from huggingface_hub.errors import HfHubHTTPError

        try:
            return _tree(self.repository, self.revision)
        except (HfHubHTTPError, HTTPError, OSError) as error:
            raise StageError(f"source {self.name}: {self._advice(error)}") from error

    def _why_not(self, path: str) -> str | None:
        asked = any(fnmatch(path, pattern) for pattern in self.patterns)
        return why_not(path) or (None if asked else "a video that no pattern asks for")

    def fetch(self, item: VideoItem, folder: Path) -> Path:
        """Download one file; huggingface_hub resumes it from `folder/.hub`."""
        from httpx import HTTPError
        from huggingface_hub.errors import HfHubHTTPError

        check_relative(item.location)
        staging = folder / ".hub" / item.video_id
        try:
            path = self._download(item.location, staging)
        except (HfHubHTTPError, HTTPError, OSError) as error:
            stop_if_full(error, folder)
            raise ItemError("hub", self._advice(error)) from error
        target = path.replace(folder / item.filename)
        shutil.rmtree(staging)
        return target

    def questions_file(self) -> Path:
        """The questions of the pinned revision, in the hub's own cache."""
        from httpx import HTTPError
        from huggingface_hub.errors import HfHubHTTPError

        try:
            return self._download(self.params.questions, None)
        except (HfHubHTTPError, HTTPError, OSError) as error:
            raise StageError(f"source {self.name}: {self.params.questions}: {self._advice(error)}") from error

    def _download(self, path: str, folder: Path | None) -> Path:
        from huggingface_hub import hf_hub_download

        endpoint = os.environ.get("HF_ENDPOINT")
        had = hf_hub_download(
            self.repository, path, repo_type="dataset", revision=self.revision, endpoint=endpoint, local_dir=folder
        )
        return Path(had)

    def _advice(self, error: Exception) -> str:
        status = getattr(getattr(error, "response", None), "status_code", None)
        where = f"{self.repository} at {self.revision[:12]}"
        if status in (401, 403):
            return f"{where} is gated: accept its terms on the hub and run `hf auth login`"
        if status == 404:
            return f"{where} does not exist or has no such file"
        return f"{where}: {type(error).__name__}: {' '.join(str(error).split())[:200]}"


@cache
def _tree(repository: str, revision: str) -> list[tuple[str, int, str | None]]:
    """Path, size and (for large files) sha256 of every file, sorted."""
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoFile

    api = HfApi(endpoint=os.environ.get("HF_ENDPOINT"))
    entries = api.list_repo_tree(repository, recursive=True, revision=revision, repo_type="dataset")
    files = [entry for entry in entries if isinstance(entry, RepoFile)]
    return sorted((file.path, file.size, file.lfs.sha256 if file.lfs else None) for file in files)
