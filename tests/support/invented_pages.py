"""Pages of invented studies, for the tests that read or use them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support import invented_study
from trustdag.cli import main
from trustdag.report import plots
from trustdag.stats.design import StudyDesign

SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><text style="fill: #1c2430">a plot</text></svg>'


@contextmanager
def invented_verticals() -> Iterator[None]:
    """The invented verticals instead of the real ones."""
    with pytest.MonkeyPatch.context() as patch:
        invented_study.install(patch)
        yield


def make(results: Path, study: StudyDesign, items: int = 40, resamples: int = 2000) -> Path:
    """Everything of a study up to its page; its plots are stand-ins, as test_plots.py draws them."""
    invented_study.write_study(study, results, items=items)
    where = ["--design", f"{results}/design.json", "--records-root", f"{results}/records"]
    settings = f'{{"resamples": {resamples}}}'
    assert main(["statistics", *where, "--out", f"{results}/statistics", "--settings", settings]) == 0
    (results / "plots").mkdir()
    for name in plots.of_study(study):
        (results / "plots" / f"{name}.svg").write_text(SVG)
    assert write_page(results) == 0
    return results


def write_page(results: Path, *more: str) -> int:
    """Writes a study's page; later options win over those given here."""
    files = ["--configuration", f"{results}/configuration.json", "--benchmarks", f"{results}/benchmarks"]
    out = ["--out", f"{results}/report.html", "--tables", f"{results}/tables"]
    return main(["report", "--design", f"{results}/design.json", "--results", str(results), *files, *out, *more])
