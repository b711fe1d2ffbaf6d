"""What a process held at most."""

from pathlib import Path


def peak_mb(pid: int | str = "self") -> float:
    """The most memory that a process held since its exec, in MiB (`VmHWM`; `ru_maxrss` would begin with its parent's);
    0 if it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM")), 0.0)
