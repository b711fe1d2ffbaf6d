"""Python imports this at the start of every process of the engine: each of them ends with the one that started it.

vLLM starts processes of its own; `kill -9` of the first would leave them holding the card's memory. Python's trackers
of shared memory stay a moment longer: they remove what the others left in /dev/shm, and end by themselves.
"""

import ctypes
import os
import signal
import sys

_TRACKER = "multiprocessing.resource_tracker"

if sys.platform == "linux" and os.environ.get("EGOVLM_ENGINE_TOKEN") and _TRACKER not in " ".join(sys.orig_argv):
    ctypes.CDLL(None, use_errno=True).prctl(1, int(signal.SIGKILL), 0, 0, 0)  # PR_SET_PDEATHSIG
