"""A real Chromium on the report page; skipped with a reason if there is none."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.report.inputs import read_inputs
from pipeline.report.page import render
from tests.browser.visiting import Visit
from tests.support.report_run import SETTINGS, Size, make_run

NAMES = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Headless Chromium of the system."""
    sync_api = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: pip install '.[browser]'"
    )
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def small_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of 120 questions."""
    root = tmp_path_factory.mktemp("small")
    make_run(root, Size(questions=120))
    page = root / "data/reports/index.html"
    page.write_text(render(read_inputs(root), SETTINGS), encoding="utf-8")
    return page


@pytest.fixture(params=["desktop", "phone", "dark"])
def visit(request: pytest.FixtureRequest, browser: Any, small_page: Path) -> Iterator[Visit]:
    """The small page at three sizes and themes; complaints and foreign requests fail the test."""
    size = {"width": 390, "height": 844} if request.param == "phone" else {"width": 1280, "height": 900}
    context = browser.new_context(
        viewport=size, color_scheme="dark" if request.param == "dark" else "light", has_touch=request.param == "phone"
    )
    opened = Visit(context, small_page)
    yield opened
    assert opened.complaints == []
    assert opened.foreign_requests() == []
    context.close()
