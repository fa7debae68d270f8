"""The plots: found by file name, drawn from what they say they need, and equal for equal numbers."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from jinja2 import Template

from tests.support import invented_study
from tests.support.invented_pages import invented_verticals
from trustdag.cli import main
from trustdag.report import plots
from trustdag.report.plot_settings import PlotSettings
from trustdag.report.settings import ReportSettings


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plots")
    with invented_verticals():
        invented_study.write_study(invented_study.cells(seeds=(0, 1)), folder, items=12)
        where = ["--design", f"{folder}/design.json", "--records-root", f"{folder}/records"]
        assert main(["statistics", *where, "--out", f"{folder}/statistics", "--settings", '{"resamples": 200}']) == 0
    return folder


def draw(results: Path, name: str, out: Path, settings: str = "{}") -> int:
    return main(
        [
            "plot",
            name,
            "--design",
            f"{results}/design.json",
            "--results",
            str(results),
            "--out",
            str(out),
            "--settings",
            settings,
        ]
    )


@pytest.mark.parametrize("name", plots.names())
def test_a_plot_is_drawn_as_svg_and_png(results: Path, tmp_path: Path, name: str) -> None:
    assert draw(results, name, tmp_path / f"{name}.svg") == 0

    svg = (tmp_path / f"{name}.svg").read_text(encoding="utf-8")
    assert "<svg" in svg
    assert "<script" not in svg
    assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", plots.names())
def test_a_plot_says_what_it_is(name: str) -> None:
    module = plots.module(name)

    assert module.TITLE
    assert module.CAPTION
    assert module.NEEDS in ("statistics", "metrics")
    assert issubclass(module.Settings, PlotSettings)
    assert getattr(ReportSettings().plots, name) == module.Settings()


def test_equal_numbers_give_equal_files(results: Path, tmp_path: Path) -> None:
    for folder in ("first", "second"):
        assert draw(results, "changes", tmp_path / folder / "changes.svg") == 0

    for kind in ("svg", "png"):
        first, second = ((tmp_path / folder / f"changes.{kind}").read_bytes() for folder in ("first", "second"))
        assert first == second


def test_a_colour_of_the_settings_is_the_colour_of_the_plot(results: Path, tmp_path: Path) -> None:
    assert draw(results, "changes", tmp_path / "changes.svg", '{"colors": ["#123456"]}') == 0

    assert "#123456" in (tmp_path / "changes.svg").read_text(encoding="utf-8")


def test_a_wrong_setting_is_refused(results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert draw(results, "changes", tmp_path / "changes.svg", '{"color": "red"}') == 2

    assert "color: unknown key" in capsys.readouterr().err


def test_only_plots_with_something_to_show_are_of_a_study() -> None:
    seeds, single = invented_study.cells(seeds=(0, 1)), invented_study.cells()
    base = single.model_copy(update={"policies": single.policies[:1]})

    assert plots.of_study(seeds) == plots.names()
    assert set(plots.names()) - set(plots.of_study(single)) == {"seeds"}
    assert set(plots.of_study(base)) == {"answers", "levels", "stereotypes"}


def test_the_configuration_can_be_read_without_the_plotting_library() -> None:
    heavy = "{'matplotlib', 'pandas', 'numpy'}"
    code = f"import sys, trustdag.report.settings as s; s.ReportSettings(); print({heavy} & set(sys.modules))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("name", plots.names())
def test_snakemakes_own_report_shows_the_same_caption(name: str) -> None:
    captions = Path(plots.__file__).parents[3] / "report" / "plot.rst"
    job = SimpleNamespace(wildcards=SimpleNamespace(plot=name))

    shown = Template(captions.read_text(encoding="utf-8")).render(snakemake=job)

    assert shown.strip() == plots.module(name).CAPTION
