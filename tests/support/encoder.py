"""The H.264 encoder of the tests' own videos. `make portable` sets EGOVLM_TEST_X264 so that it writes other bytes."""

import os
from collections.abc import Mapping

VARIABLE = "EGOVLM_TEST_X264"  # parameters of x264, such as `asm=0` or `threads=4`; what a test pins itself wins


def x264(options: Mapping[str, str] | None = None) -> dict[str, str]:
    """Options of a libx264 stream: the test's own behind those of the variable."""
    own = dict(options or {})
    params = ":".join(filter(None, (os.environ.get(VARIABLE, ""), own.pop("x264-params", ""))))
    return {**own, "x264-params": params} if params else own
