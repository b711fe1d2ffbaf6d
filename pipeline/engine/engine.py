"""An engine that holds one policy's weights at a time: loaded, asked, lost and replaced, ended."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from pipeline.engine.client import Client
from pipeline.engine.faults import Lost
from pipeline.engine.options import Options
from pipeline.engine.requests import Messages, make_request, read_answer
from pipeline.engine.server import Server
from pipeline.errors import ModelError
from pipeline.models.clip_frames import ClipFrames
from pipeline.models.generate import Completion
from pipeline.models.policy import Policy
from pipeline.models.sampling import Sampling

TRIES = 3  # starts per batch of prompts
CHAT = "/v1/chat/completions"


class Engine:
    """vLLM for one process of a stage; a context manager. Nothing runs before the first `load`."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.server: Server | None = None
        self.folder: Path | None = None
        self.version = ""
        self.starts = 0
        self._client: Client | None = None
        self._sleeps = False

    def __enter__(self) -> "Engine":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- weights ------------------------------------------------------------------------------------------------------

    def load(self, folder: Path, version: str) -> None:
        """Hold the weights of a `from_pretrained` folder under the name `version`, which every completion carries.

        The folder has to stay as it is until the next `load`: an engine that is lost is started from it again.

        Raises:
            ModelError: the engine cannot be started, or does not take them.
        """
        self.folder, self.version = folder, version
        if self._client is None:
            self._start()
            return
        try:
            self.wake()
            self._replace(self._client, folder)
        except Lost as lost:
            self._say(lost)
            self._start()

    def _replace(self, client: Client, folder: Path) -> None:
        client.post("/pause?mode=wait")
        said = client.post("/collective_rpc", {"method": "load_folder", "kwargs": {"folder": str(folder.absolute())}})
        troubles = [text for text in said["results"] if text]
        if troubles:
            self.close()  # what it took of them before it stopped is still in it
            self.version = ""
            raise ModelError(f"the engine does not take the weights of {folder}: {troubles[0]}")
        client.post("/reset_prefix_cache")  # keys and values, and features of a tower that may have changed
        client.post("/reset_encoder_cache")
        client.post("/update_weight_version", {"new_version": self.version})
        client.post("/resume")

    def _start(self) -> None:
        """A new process with the present weights; a port that was taken meanwhile is tried again."""
        if self.folder is None:
            raise ValueError("load weights first")
        for attempt in range(1, TRIES + 1):
            self.close()
            self.server = Server(self.options, self.folder)
            self.starts += 1
            try:
                self.server.wait_until_ready()
                self._client = Client(self.server)
                self._client.post("/update_weight_version", {"new_version": self.version})
                return
            except Lost as lost:
                self._say(lost)
                if attempt == TRIES:
                    raise ModelError(f"the engine could not be started {TRIES} times: {lost}") from lost

    # --- answers ------------------------------------------------------------------------------------------------------

    def complete(
        self,
        policy: Policy,
        prompts: Sequence[Messages],
        clips: Mapping[str, ClipFrames],
        sampling: Sampling,
        completions: int,
        seeds: Sequence[str],
    ) -> list[list[Completion]]:
        """`completions` of each prompt, with log-probabilities and the version of the weights.

        `policy` gives tokenizer and token ids only. A lost engine is replaced and asked what it has not answered.

        Raises:
            ItemError: a prompt is too long.
            ModelError: the engine refuses, sees other tokens than ours, or is lost again and again.
        """
        limit = min(self.options.machine.max_model_len, policy.context_length)
        asked = [
            make_request(policy, messages, clips, sampling, completions, seed, limit)
            for messages, seed in zip(prompts, seeds, strict=True)
        ]
        answers, version = self._ask([one.body for one in asked])
        return [read_answer(policy, one, answer, version) for one, answer in zip(asked, answers, strict=True)]

    def _ask(self, bodies: Sequence[Any]) -> tuple[list[Any], str]:
        """Answers in order, and the version of the weights that gave them."""
        answers: dict[int, Any] = {}
        for attempt in range(1, TRIES + 1):
            if self._client is None:
                self._start()
            try:
                return self._ask_once(bodies, answers), self._confirmed_version()
            except Lost as lost:
                self._say(lost)
                self.close()
                if attempt == TRIES:
                    raise ModelError(f"the engine was lost {TRIES} times over one batch: {lost}") from lost
        raise AssertionError("unreachable")

    def _ask_once(self, bodies: Sequence[Any], answers: dict[int, Any]) -> list[Any]:
        self.wake()
        open_ones = {number: body for number, body in enumerate(bodies) if number not in answers}
        if open_ones and self._client is not None:
            self._client.post_all(CHAT, open_ones, answers)
        return [answers[number] for number in range(len(bodies))]

    def _confirmed_version(self) -> str:
        found = str(self._client.get("/weight_info")["weight_version"]) if self._client else ""
        if found != self.version:
            raise ModelError(f"the engine holds weights {found!r}, {self.version!r} were loaded: not one answer counts")
        return found

    # --- life ---------------------------------------------------------------------------------------------------------

    def rest(self) -> None:
        """Give the GPU's memory back until the next call; nothing to do on CPU."""
        if self._client is not None and self.options.device == "cuda" and not self._sleeps:
            self._client.post("/sleep?level=1")
            self._sleeps = True

    def wake(self) -> None:
        """Undo `rest`."""
        if self._client is not None and self._sleeps:
            self._client.post("/wake_up")
            self._sleeps = False

    def close(self) -> None:
        """End the process; the next call that needs it starts another."""
        if self._client is not None:
            self._client.close()
        if self.server is not None:
            self.server.stop()
        self._client = self.server = None
        self._sleeps = False

    def _say(self, lost: Lost) -> None:
        print(f"engine: lost: {lost}; a new one is started (log: {self.options.room})", file=sys.stderr, flush=True)
