"""Code that all plots share: their style, and writing them reproducibly: equal numbers give equal files."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote
from xml.sax.saxutils import escape

from trustdag.artifacts import atomic_file
from trustdag.layout import ModelId
from trustdag.report.plot_settings import PlotSettings
from trustdag.stats.design import StudyDesign

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from trustdag.report.runs import TrainingRun

INK = "#1c2430"
QUIET = "#66707f"
GRID = "#e3e7ec"
HOVER = "hover-"
"""Starts the id of an artist with a hover text."""
MOST_LIGHT = 0.75
"""How near to white the lightest of many runs of one recipe comes."""


def canvas(settings: PlotSettings, rows: int, columns: int, height: float, **options: Any) -> "tuple[Figure, Any]":
    """A figure and its (rows, columns) array of axes. `height` is in inches.

    Args:
        settings: Width and font.
        rows: Rows of axes.
        columns: Columns of axes.
        height: Of the figure, in inches.

    Returns:
        The figure, and its (rows, columns) array of axes.
    """
    from matplotlib import pyplot

    size = (settings.width, height)
    return pyplot.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained", **options)


def render(plot: ModuleType, design: StudyDesign, results: Path, settings: PlotSettings, out: Path) -> None:
    """Draws a plot in the common style, and writes it as SVG to `out` and as PNG next to it.

    Args:
        plot: A module of report/plots.
        design: The study's policies and verticals.
        results: The study's results folder.
        settings: The plot's settings.
        out: The .svg file.
    """
    with style(settings):
        save(plot.draw(design, results, settings), out)


@contextmanager
def style(settings: PlotSettings) -> Iterator[None]:
    """While active, plots have the common style."""
    import matplotlib

    matplotlib.use("Agg")
    size = settings.font_size
    look = {
        "font.family": "sans-serif",
        "font.sans-serif": ["DejaVu Sans"],
        "font.size": size,
        "axes.titlesize": size * 1.1,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.labelsize": size,
        "axes.labelcolor": INK,
        "axes.edgecolor": QUIET,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": GRID,
        "grid.linewidth": 0.8,
        "text.color": INK,
        "xtick.color": INK,
        "ytick.color": INK,
        "xtick.labelsize": size * 0.9,
        "ytick.labelsize": size * 0.9,
        "legend.fontsize": size * 0.9,
        "legend.frameon": False,
        "lines.linewidth": 1.6,
        "figure.facecolor": "white",
    }
    with matplotlib.rc_context(look):
        yield


def rows_of(frame: "pd.DataFrame") -> list[dict[str, Any]]:
    """A table's rows, each by column name."""
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def colors(names: Sequence[str], settings: PlotSettings) -> dict[str, str]:
    """A color for each name, in the settings' order."""
    return dict(zip(names, islice(cycle(settings.colors), len(names)), strict=True))


def legend(figure: "Figure", axes: "Axes", columns: int = 6) -> None:
    """One legend below the figure, from the labelled artists of one panel.

    Args:
        figure: The figure.
        axes: The panel whose labels it shows.
        columns: Most entries side by side.
    """
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside lower center", ncols=min(columns, len(handles)))


def hover(artist: "Artist", text: str) -> None:
    """Gives an artist a text that a browser shows under the pointer, and a screen reader says."""
    artist.set_gid(HOVER + quote(text))


def run_colors(
    runs: "Sequence[TrainingRun]", design: StudyDesign, settings: PlotSettings
) -> dict[Path, tuple[float, float, float]]:
    """A color for each run of one stage: that of the stage's recipe, lighter for each further run.

    Args:
        runs: The runs of one stage.
        design: The study's policies, whose recipes have the colors.
        settings: The recipes' colors.

    Returns:
        By the run's folder: red, green and blue in [0, 1]. A stage that no recipe ends with is grey.
    """
    from matplotlib.colors import to_rgb

    palette = colors(list(dict.fromkeys(policy.recipe for policy in design.policies)), settings)
    recipes = {ModelId.parse(policy.id).chain: policy.recipe for policy in design.policies}
    shades = {}
    for place, run in enumerate(runs):
        own = to_rgb(palette.get(recipes.get(run.chain, ""), QUIET))
        lighter = MOST_LIGHT * place / len(runs)
        red, green, blue = (part + (1 - part) * lighter for part in own)
        shades[run.folder] = (red, green, blue)
    return shades


def save(figure: "Figure", path: Path) -> None:
    """Writes the figure as SVG to `path` and as PNG next to it. Equal figures give equal bytes."""
    from matplotlib import pyplot

    write_figure(figure, path)
    text = path.read_text(encoding="utf-8")
    with atomic_file(path) as partial:
        partial.write_text(with_titles(text), encoding="utf-8")
    write_figure(figure, path.with_suffix(".png"))
    pyplot.close(figure)


def write_figure(figure: "Figure", path: Path) -> None:
    """Writes the figure in the format that the file's name says: svg, with text as text, png or pdf."""
    import matplotlib

    options: dict[str, dict[str, Any]] = {
        ".svg": {"metadata": {"Date": None}},
        ".png": {"dpi": 160},
        ".pdf": {"metadata": {"CreationDate": None}},
    }
    fonts = {"svg.hashsalt": "trustdag", "svg.fonttype": "none", "pdf.fonttype": 42}
    with matplotlib.rc_context(fonts), atomic_file(path) as partial:
        figure.savefig(partial, format=path.suffix[1:], **options[path.suffix])


def with_titles(svg: str) -> str:
    """The SVG with each hover text as the title of its group."""
    numbers = iter(range(len(svg)))

    def titled(match: re.Match[str]) -> str:
        return f'<g id="mark-{next(numbers)}"><title>{escape(unquote(match[1]))}</title>'

    return re.sub(rf'<g id="{HOVER}([^"]*)">', titled, svg)
