"""axe-core, a checker of accessibility, in a page of the tests' browser. A package of tests/axe.txt has its file."""

import json
from importlib.resources import files

from tests.support.browser import Browser

RUN = """axe.run(document, {resultTypes: ['violations']}).then((result) => JSON.stringify(result.violations.flatMap(
  (rule) => rule.nodes.map((node) => `${rule.id}: ${node.target.join(' ')}: ${node.failureSummary}`))))"""
PACKAGE = "axe_playwright_python"


def violations(browser: Browser) -> list[str]:
    """What axe-core finds wrong with the page that is open: rule, element and mend.

    Raises:
        ModuleNotFoundError: The package is not installed; `make setup` does it.
    """
    browser.run((files(PACKAGE) / "axe.min.js").read_text(encoding="utf-8") + "; 0")
    return [str(violation) for violation in json.loads(browser.run(RUN))]
