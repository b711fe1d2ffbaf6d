"""What the engine's own processes load: new weights from a folder, and a lock on the door.

Runs in the engine's environment, which knows nothing of `pipeline`.
"""

import hmac
import os
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

TOKEN = "EGOVLM_ENGINE_TOKEN"  # noqa: S105
Message: TypeAlias = dict[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]


class Weights:
    """Methods that vLLM adds to its worker (`--worker-extension-cls`)."""

    def load_folder(self: Any, folder: str) -> str:
        """Take the weights of a `from_pretrained` folder; returns "", or why they cannot be taken.

        An exception here would end the engine. On CPU a tied head keeps a packed copy of the old weights, which gives
        the answers of neither model: it is packed again.
        """
        try:
            self.reload_weights(weights_path=folder)
            head = getattr(getattr(self.model_runner.get_model(), "language_model", None), "lm_head", None)
            if head is not None and hasattr(head, "cpu_linear"):
                from vllm.model_executor.layers.utils import dispatch_cpu_unquantized_gemm

                dispatch_cpu_unquantized_gemm(head, remove_weight=False)
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        return ""


class OnlyWithToken:
    """ASGI middleware: any user of a machine can reach its loopback, so every request brings the starter's token."""

    def __init__(self, app: Callable[[Message, Receive, Send], Awaitable[None]]) -> None:
        self.app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Passes on what may pass; all else is answered 401."""
        expected = f"Bearer {os.environ[TOKEN]}".encode()
        given = dict(scope.get("headers", ())).get(b"authorization", b"")
        if scope["type"] == "lifespan" or hmac.compare_digest(given, expected):
            await self.app(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 401, "headers": []})
        await send({"type": "http.response.body", "body": b"no token"})
