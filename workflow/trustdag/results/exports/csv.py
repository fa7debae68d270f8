"""The study's tables as CSV, with a table of the meaning of each column."""

from pathlib import Path

import pandas as pd

from trustdag.results.columns import MEANINGS
from trustdag.results.study import StudyResults

TABLES = ("answer", "metrics", "differences", "seeds", "curves")


def write(study: StudyResults, folder: Path) -> None:
    """Writes each table, and columns.csv."""
    for name in TABLES:
        frame: pd.DataFrame = getattr(study, name)
        frame.to_csv(folder / f"{name}.csv", index=False, float_format="%.6g")
    models = study.models.drop(columns=["manifest", "folder"])
    models.to_csv(folder / "models.csv", index=False)
    rows = [
        {"table": table, "column": column, "meaning": meaning}
        for table in (*TABLES, "models")
        for column, meaning in MEANINGS[table].items()
        if column not in ("manifest", "folder")
    ]
    pd.DataFrame(rows).to_csv(folder / "columns.csv", index=False)
