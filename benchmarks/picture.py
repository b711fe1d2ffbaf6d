"""A question of the report as a picture: what the README shows.

    python -m benchmarks.picture synthetic_test_00003_taken docs/pictures/example.png

Needs the extra `browser` and a Chromium of the system.
"""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

REPORT = Path("data/reports/index.html")


def main(question_id: str, target: Path) -> None:
    """Open the report at the question and write its card, 968 pixels wide."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1000, "height": 900}, color_scheme="light")
        page.goto(f"{REPORT.resolve().as_uri()}#q-{question_id}")
        page.locator(".card[open] .body").wait_for()
        page.locator(".card[open]").screenshot(path=target)
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
