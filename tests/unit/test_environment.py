"""The defaults reach the libraries they are meant for."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.portable import made_locale
from pipeline.environment import DEFAULTS


def test_libgomp_understands_how_to_wait_in_a_turkish_locale_too(tmp_path: Path) -> None:
    """There the small letter of I is no i, and a value in capitals is ignored: idle threads would spin."""
    turkish = {**DEFAULTS, **made_locale(tmp_path), "LC_ALL": "tr_TR.UTF-8"}
    code = "import locale; locale.setlocale(locale.LC_ALL, ''); import torch"
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, **turkish}, capture_output=True, text=True)
    if "unsupported locale" in done.stderr:
        pytest.skip("no tr_TR.UTF-8 here, and it cannot be made (Debian: apt-get install locales)")
    assert done.returncode == 0, done.stderr
    assert "OMP_WAIT_POLICY" not in done.stderr
