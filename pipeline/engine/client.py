"""HTTP to an engine: many prompts at once; a dead or silent engine is told from one that refuses."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx

from pipeline.engine.faults import Lost, RefusedByEngine, refusal
from pipeline.engine.options import AT_ONCE
from pipeline.engine.server import Server


class Client:
    """Requests to one server."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.seconds = server.options.answer_seconds
        limits = httpx.Limits(max_connections=AT_ONCE)
        # `trust_env`: a proxy of the environment must not see what is meant for this machine.
        self.http = httpx.Client(
            base_url=server.url, headers=server.headers, timeout=self.seconds, limits=limits, trust_env=False
        )

    def get(self, path: str) -> Any:
        """See `call`."""
        return self.call("GET", path, None)

    def post(self, path: str, body: Any = None) -> Any:
        """See `call`."""
        return self.call("POST", path, body)

    def call(self, method: str, path: str, body: Any) -> Any:
        """The answer's JSON (None if it is empty).

        Raises:
            Lost: it died, or did not answer in time.
            RefusedByEngine: it answered that this cannot be done.
            ModelError: it ran out of memory.
        """
        try:
            answer = self.http.request(method, path, json=body)
        except httpx.TimeoutException as error:
            raise Lost(f"it did not answer {path} within {self.seconds} s") from error
        except httpx.TransportError as error:
            raise self._gone(f"it died ({error or type(error).__name__})") from error
        if answer.status_code >= 500 and self._is_well():
            raise RefusedByEngine(f"the engine fails at {path} with {answer.status_code}: {_said(answer)}")
        if answer.status_code >= 500:
            raise self._gone(f"it answered {answer.status_code}: {_said(answer)}")
        if answer.status_code >= 400:
            raise RefusedByEngine(f"the engine refuses {path} with {answer.status_code}: {_said(answer)}")
        return answer.json() if answer.content else None

    def _is_well(self) -> bool:
        """Whether it would answer another request: what failed was this one."""
        try:
            return self.http.get("/health").status_code == 200
        except httpx.TransportError:
            return False

    def _gone(self, what: str) -> Exception:
        """`Lost`, unless its log says that it would happen again."""
        found = refusal(self.server.log, what)
        return found if "out of memory" in str(found) else Lost(what)

    def post_all(self, path: str, bodies: Mapping[int, Any], answers: dict[int, Any]) -> None:
        """Ask all of `bodies`, by number, and put each answer into `answers` as it comes; what has come stays if one
        fails."""

        def ask(number: int) -> None:
            answers[number] = self.post(path, bodies[number])

        with ThreadPoolExecutor(min(AT_ONCE, len(bodies))) as pool:
            waiting = [pool.submit(ask, number) for number in bodies]
            try:
                for one in waiting:
                    one.result()
            except BaseException:
                self.server.stop()  # what still waits for it fails now, and not after `seconds`
                for one in waiting:
                    one.cancel()
                raise

    def close(self) -> None:
        """Give the connections back."""
        self.http.close()


def _said(answer: httpx.Response) -> str:
    try:
        content = answer.json()
        text = str(content.get("error", {}).get("message", content)) if isinstance(content, dict) else str(content)
    except ValueError:
        text = answer.text
    return " ".join(text.split())[:300]
