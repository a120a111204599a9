"""A page in a real browser: `page`, of the distribution's Chromium, driven by Playwright.

It finds nothing beyond this machine: every name but loopback's leads nowhere.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.support.daemons import missing

NOTHING_BEYOND = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1"
# Until what a test waits for in the page is taken for missing.
PATIENCE_MS = 20_000


@pytest.fixture
def page() -> Iterator[Page]:
    """Open an empty page for one test, in the language of the documents."""
    chromium = shutil.which("chromium")
    if chromium is None:
        missing("Chromium is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=[NOTHING_BEYOND])
        opened = browser.new_page(locale="zh-CN")
        opened.set_default_timeout(PATIENCE_MS)
        expect.set_options(timeout=PATIENCE_MS)
        yield opened
        browser.close()


def complaints(page: Page) -> list[str]:
    """Return what the page and the browser have written to its console, and what broke in it."""
    return [said.text for said in page.console_messages()] + [
        error.message for error in page.page_errors()
    ]
