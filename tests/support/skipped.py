"""What a test run left out: one line at its end, and the groups that a CI run must not leave out."""

import platform
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

VARIABLE = "EGOVLM_MUST_RUN"  # set by .ci/run: a skip in one of these groups, or a group without a test, fails the run
MUST_RUN: Mapping[str, tuple[str, ...]] = {
    "contracts": ("tests/contracts/",),
    "flows": ("tests/flows/",),
    "video": ("tests/unit/decode/", "tests/unit/frames/", "tests/stages/test_extract_frames.py"),
    "toy": ("tests/toy/",),
}
# What a machine may lack all the same: licensed data, a server with its own environment, a second judge of frames,
# another CPU's wheels.
MAY_LACK = ("no ../shared", "needs dvc[s3] and EGOVLM_MOTO_SERVER", "the ffmpeg command is not installed") + (
    () if platform.machine() == "x86_64" else ("could not import 'decord'",)
)

Skip = tuple[str, str]
"""Node id and reason of a test that did not run."""


def closing_line(skips: Sequence[Skip]) -> str:
    """`Skipped, not passed: 5: 3 no CUDA device; 2 no ../shared folder ...`, the most frequent reason first."""
    if not skips:
        return "Skipped: none"
    reasons = Counter(reason for _, reason in skips)
    return f"Skipped, not passed: {len(skips)}: " + "; ".join(f"{n} {reason}" for reason, n in reasons.most_common())


def left_out(ran: Iterable[str], skips: Sequence[Skip]) -> list[str]:
    """A line per group of `MUST_RUN` that skipped a test without a reason in `MAY_LACK`, or of which nothing ran."""
    ids = list(ran)
    lines = []
    for group, prefixes in MUST_RUN.items():
        bad = [f"{i} ({why})" for i, why in skips if i.startswith(prefixes) and not why.startswith(MAY_LACK)]
        if bad:
            lines.append(f"{group}: {len(bad)} skipped, first {bad[0]}")
        elif not any(i.startswith(prefixes) for i in ids):
            lines.append(f"{group}: no test ran")
    return lines


def plain(reason: str) -> str:
    """A skip's reason in one line, without the prefix of pytest."""
    return " ".join(reason.removeprefix("Skipped: ").split())
