"""The site builds without a warning, a broken link is one, and every page of docs/ is part of it."""

import subprocess
import sys
from pathlib import Path
from shutil import copytree, ignore_patterns


def _build(docs: Path, out: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sphinx", "-qnW", "--keep-going", str(docs), str(out)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def test_the_site_builds_and_shows_every_page(repository: Path, tmp_path: Path) -> None:
    result = _build(repository / "docs", tmp_path / "html")
    assert result.returncode == 0, result.stderr
    pages = sorted(page.stem for page in (repository / "docs").glob("*.md"))
    assert len(pages) >= 10
    start = (tmp_path / "html/index.html").read_text()
    assert [page for page in pages if page != "index" and f'href="{page}.html"' not in start] == []


def test_a_link_to_nothing_fails(repository: Path, tmp_path: Path) -> None:
    copytree(repository / "docs", tmp_path / "docs", ignore=ignore_patterns("_build"))
    page = tmp_path / "docs/start.md"
    page.write_text(page.read_text() + "\nSee [this](nowhere.md).\n")
    result = _build(tmp_path / "docs", tmp_path / "html")
    assert result.returncode != 0
    assert "nowhere.md" in result.stderr


def test_the_site_needs_no_network(repository: Path, tmp_path: Path) -> None:
    """No page loads a script, a style or a picture from somewhere else."""
    assert _build(repository / "docs", tmp_path / "html").returncode == 0
    loaded = [
        line.strip()
        for page in (tmp_path / "html").glob("*.html")
        for line in page.read_text().splitlines()
        if ("src=" in line or "<link" in line) and ('src="http' in line or ('href="http' in line and "<link" in line))
    ]
    assert loaded == []
