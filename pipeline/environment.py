"""Process-wide defaults: nothing phones home, nothing waits for a network, threads sleep when idle.

Applied by every entry point (stages, command line, flows, tests) before the libraries concerned are imported. A value
the user has set in the environment wins.
"""

import os

DEFAULTS = {
    "DO_NOT_TRACK": "1",
    "DVC_NO_ANALYTICS": "1",
    "GX_ANALYTICS_ENABLED": "false",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_XET": "1",  # xet starts threads and a cache of its own; plain HTTP resumes as well
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "90",
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
    "WANDB_SILENT": "true",
    "OMP_WAIT_POLICY": "PASSIVE",  # busy-waiting threads made two-core training 16 times slower
    "RAY_USAGE_STATS_ENABLED": "0",
}


def apply_defaults() -> None:
    """Set every variable of `DEFAULTS` that the user has not set."""
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
