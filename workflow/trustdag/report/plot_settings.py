"""Settings that all plots share."""

import re
from typing import ClassVar

from pydantic import Field, field_validator

from trustdag.settings import Section
from trustdag.stats.design import StudyDesign

HEXADECIMAL = re.compile("#[0-9a-fA-F]{6}")
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
    """Colors of the recipes, in the order of the study. They repeat if there are more recipes."""

    @field_validator("colors")
    @classmethod
    def _colors_are_known(cls, colors: tuple[str, ...]) -> tuple[str, ...]:
        for color in colors:
            if not HEXADECIMAL.fullmatch(color):  # matplotlib takes a second to import
                from matplotlib.colors import is_color_like

                if not is_color_like(color) or color.lower() == "none":
                    raise ValueError(
                        f"no color that matplotlib knows, such as `#0072b2` or `teal` (got {color!r:.100})"
                    )
        return colors


def has_policies(design: StudyDesign) -> bool:
    """Whether the study has policies, and so metrics. The `applies` of plots that every study has."""
    return len(design.policies) > 0
