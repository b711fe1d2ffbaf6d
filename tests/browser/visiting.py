"""An opened report page, as the tests look at it."""

import re
from pathlib import Path
from typing import Any


class Visit:
    """An opened page and everything it complained about or asked for."""

    def __init__(self, context: Any, page: Path, fragment: str = "") -> None:
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page = context.new_page()
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(page.as_uri() + fragment)
        self.page.wait_for_selector("html[data-ready]", state="attached")

    def open_first(self) -> None:
        """Open the first question and wait for its content."""
        self.page.locator(".card summary").first.click()
        self.page.wait_for_selector(".card .body")

    def cards(self) -> int:
        """Questions drawn."""
        return int(self.page.locator(".card").count())

    def wait_for_count(self, text: str) -> None:
        """Until the number of questions shown begins with `text`."""
        from playwright.sync_api import expect

        expect(self.page.locator("#count")).to_have_text(re.compile(rf"^{re.escape(text)}"))

    def text(self, selector: str) -> str:
        """What stands in the first match."""
        return str(self.page.locator(selector).first.inner_text())

    def foreign_requests(self) -> list[str]:
        """Requests beyond the page itself and its embedded pictures."""
        return [url for url in self.requests if not url.startswith(("file:", "data:"))]
