"""benchmarks/statistics.py prints its tables, and does not hide Python's module of that name from its folder."""

import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks"))

import statistics_tables  # type: ignore[import-not-found]

FOLDER = Path(__file__).parents[3] / "benchmarks"


def test_other_scripts_of_the_folder_import_pythons_own_statistics() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import statistics; print(statistics.median([1, 2, 9]))"],
        cwd=FOLDER,
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.strip() == "2"


def test_each_row_of_a_table_has_a_cell_under_each_head() -> None:
    for table in (statistics_tables.differences, statistics_tables.seeds):
        head, *rows = table(3)

        assert rows
        assert {len(row) for row in rows} == {len(head)}
