"""A real browser, for tests of pages."""

import shutil

import pytest
from playwright.sync_api import sync_playwright

from docs.screenshots import FLAGS


@pytest.fixture(scope="module")
def browser():
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("Chromium is not installed")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=FLAGS.split())
        yield opened
        opened.close()
