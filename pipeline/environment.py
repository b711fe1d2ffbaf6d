"""Process-wide defaults: no telemetry, no waiting for a network, idle threads sleep.

Every entry point (stages, command line, flows, tests) applies them before it imports the libraries concerned. A value
that the user has set in the environment wins.
"""

import os

DEFAULTS = {
    "DO_NOT_TRACK": "1",
    "DVC_NO_ANALYTICS": "1",
    "GX_ANALYTICS_ENABLED": "false",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_XET": "1",  # xet starts its own threads and cache; plain HTTP resumes just as well
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "90",
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
    "WANDB_SILENT": "true",
    # Busy-waiting threads made training on two cores 16 times slower. In small letters: in a Turkish locale libgomp
    # does not take I for i, and ignores the value.
    "OMP_WAIT_POLICY": "passive",
    "RAY_USAGE_STATS_ENABLED": "0",
}


def apply_defaults() -> None:
    """Set every variable of `DEFAULTS` that the user has not set."""
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
