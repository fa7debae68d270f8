"""What the settings of all plots share."""

from typing import ClassVar

from pydantic import Field

from trustdag.settings import Section

RECIPES = ("#767676", "#0072b2", "#e69f00", "#cc79a7", "#56b4e9", "#999933", "#aa4499")
"""Colors of the recipes, on every plot, for color-blind readers: grey first, for the base model. Most are Okabe and
Ito's; orange and green are left out, because the page keeps them for `worse` and `better`."""


class PlotSettings(Section):
    """The look of one plot."""

    RENAMED: ClassVar[dict[str, str]] = {"colours": "colors", "colour_map": "color_map"}

    width: float = Field(7.5, gt=1, le=40)
    """Width, in inches; the page scales it to the reader's screen."""
    font_size: float = Field(10, gt=3, le=40)
    """Size of the text, in points."""
    colors: tuple[str, ...] = Field(RECIPES, min_length=1)
    """Colors of the recipes, in the order of the study; used again from the start where there are more."""
