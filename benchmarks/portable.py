"""The quick tests as on other machines: `make portable`.

Or `python -m benchmarks.portable [--twice] [--only N ...] [-- PYTEST ARGS]`.

What a machine decides by itself: which CPU kernels PyTorch takes, how many threads, what bytes the H.264 encoder
writes, the time zone, the locale. All combinations would be 162 runs; here each pair of values meets in at least one.
A test that is green in one run and red in another is true on some machines only: it is listed with its red runs.
What each run printed stays in tmp/portable.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from itertools import combinations, product
from pathlib import Path

FACTORS: Mapping[str, Sequence[str]] = {
    "ATEN_CPU_CAPABILITY": ("", "avx2", "default"),  # "": what the CPU has
    "OMP_NUM_THREADS": ("1", "4"),
    "EGOVLM_TEST_X264": ("threads=1", "threads=4", "asm=0"),  # tests/support/encoder.py
    "TZ": ("UTC", "Pacific/Kiritimati", "America/St_Johns"),  # fourteen hours ahead; three and a half behind
    "LC_ALL": ("C.UTF-8", "C", "tr_TR.UTF-8"),  # Turkish: the lower case of I is no i
}
QUICK = ("-n", "2", "--dist", "loadgroup", "--no-loadscope-reorder", "-m", "not faults and not slow and not browser")
LOGS = Path("tmp/portable")  # ignored by git
Run = dict[str, str]


def pairwise(factors: Mapping[str, Sequence[str]]) -> list[Run]:
    """Few runs in which every pair of values of two factors meets; the first is the plain one."""
    names = list(factors)
    runs = [dict(zip(names, values, strict=True)) for values in product(*factors.values())]
    missing = {pair for run in runs for pair in _pairs(run)} - _pairs(runs[0])
    chosen = [runs[0]]
    while missing:
        best = max(runs, key=lambda run: len(_pairs(run) & missing))
        chosen.append(best)
        missing -= _pairs(best)
    return chosen


def _pairs(run: Run) -> set[tuple[tuple[str, str], tuple[str, str]]]:
    return set(combinations(run.items(), 2))


def made_locale(folder: Path) -> Mapping[str, str]:
    """The variable that lets programs find the Turkish locale; nothing if it is installed or cannot be made."""
    installed = subprocess.run(["locale", "-a"], capture_output=True, text=True, check=False).stdout.lower()
    if "tr_tr.utf8" in installed:
        return {}
    try:
        target = str(folder / "tr_TR.UTF-8")
        subprocess.run(["localedef", "-i", "tr_TR", "-f", "UTF-8", target], capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        print("portable: no tr_TR.UTF-8 here (Debian: apt-get install locales); its runs fall back to C", flush=True)
        return {}
    return {"LOCPATH": str(folder)}


def run_tests(run: Run, extra: Mapping[str, str], arguments: Sequence[str], log: Path) -> tuple[str, set[str]]:
    """Pytest's last line and the tests that failed; all it printed goes into `log`."""
    environment = {**os.environ, **extra, **{name: value for name, value in run.items() if value}}
    if not run["ATEN_CPU_CAPABILITY"]:
        environment.pop("ATEN_CPU_CAPABILITY", None)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *(arguments or QUICK)],
        env=environment, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
        encoding="utf-8", errors="replace",
    )  # fmt: skip
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text(done.stdout + done.stderr, encoding="utf-8")
    failed = set(re.findall(r"^(?:FAILED|ERROR) (\S+(?: [^-]\S*)*)", done.stdout, flags=re.MULTILINE))
    if done.returncode and not failed:
        failed = {f"pytest ended with {done.returncode}: {done.stdout[-500:]}{done.stderr[-500:]}"}
    lines = done.stdout.strip().splitlines() or ["no output"]
    return lines[-1].strip("= "), failed


def table(rows: Sequence[tuple[int, Run, str]]) -> str:
    """A row per run: its number in the list of all, its settings, its result."""
    names = list(FACTORS)
    lines = [f"| run | {' | '.join(names)} | result |", "|---|" + "---|" * (len(names) + 1)]
    for number, run, said in rows:
        lines.append(f"| {number} | {' | '.join(run[name] or 'unset' for name in names)} | {said} |")
    return "\n".join(lines)


def red_tests(results: Sequence[tuple[int, set[str]]]) -> str:
    """Each failed test with the numbers of its runs."""
    every = sorted({test for _, failed in results for test in failed})
    red = {test: [str(number) for number, failed in results if test in failed] for test in every}
    lines = [f"{test}: red in run {', '.join(runs)}" for test, runs in red.items()]
    return "\n".join(lines) or "No test is red in any run."


def main() -> int:
    """Run the tests under each combination; 1 if any was red."""
    every = pairwise(FACTORS)
    possible = range(1, len(every) + 1)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--twice", action="store_true", help="each combination two times: what is luck shows")
    parser.add_argument("--only", type=int, nargs="+", metavar="N", choices=possible, help="of the list, these runs")
    parser.add_argument("--list", action="store_true", help="only print the combinations")
    parser.add_argument("arguments", nargs="*", help="for pytest, behind `--`; default: all quick tests")
    args = parser.parse_args()
    runs = [(number, every[number - 1]) for number in args.only or possible] * (2 if args.twice else 1)
    if args.list:
        print(table([(number, run, "") for number, run in runs]))
        return 0
    results: list[tuple[int, Run, str, set[str]]] = []
    with tempfile.TemporaryDirectory() as folder:
        extra = made_locale(Path(folder))
        for done, (number, run) in enumerate(runs, 1):
            began = time.monotonic()
            said, failed = run_tests(run, extra, args.arguments, LOGS / f"{number}-{done}.txt")
            results.append((number, run, said, failed))
            settings = " ".join(f"{name}={value}" for name, value in run.items())
            took = f"{time.monotonic() - began:.0f} s"
            print(f"{done}/{len(runs)} run {number}, {settings}: {said} ({took})", flush=True)
            for test in sorted(failed):
                print(f"    {test}", flush=True)
    print(f"\n{table([(number, run, said) for number, run, said, _ in results])}\n")
    print(red_tests([(number, failed) for number, _, _, failed in results]))
    return 1 if any(failed for _, _, _, failed in results) else 0


if __name__ == "__main__":
    sys.exit(main())
