"""Where the demo's time goes: `make demo`, then `python benchmarks/demo.py` prints seconds by kind of job.

Times are those of the jobs; two of them ran at once where the DAG and the cores allowed it.
"""

import argparse
from pathlib import Path

from trustdag.jsonfiles import read_section
from trustdag.report.gather import run_times
from trustdag.stats.design import StudyDesign


def main() -> None:
    """Prints the run times of a finished study."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path, nargs="?", default=Path("results/demo"))
    results = parser.parse_args().results
    if not (results / "design.json").exists():
        raise SystemExit(f"{results}: no finished study; run `make demo` first")
    times = run_times(results / "benchmarks", read_section(results / "design.json", StudyDesign))
    if times.empty:
        raise SystemExit("no run times there: run `make demo` first")
    print(times.to_string(index=False, float_format="{:.1f}".format))


if __name__ == "__main__":
    main()
