"""trustdag: does aligning a language model make it more trustworthy?"""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trustdag.results.study import StudyResults

__version__ = "0.3.0"


def load(folder: "str | Path") -> "StudyResults":
    """Opens the results folder of a finished study, such as `trustdag.load("results/demo")`, as data frames.

    Raises trustdag.errors.UserError if it holds no finished study.
    """
    from trustdag.results.study import StudyResults  # here: commands of the workflow never need pandas for this

    return StudyResults(folder)
