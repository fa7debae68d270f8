"""Where the demo's time goes: `make demo`, then `python benchmarks/demo.py` prints seconds by kind of job.

Times are those of the jobs; two of them ran at once where the DAG and the cores allowed it.
"""

import argparse
from pathlib import Path

from trustdag.report.gather import run_times


def main() -> None:
    """Prints the run times of a finished study."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path, nargs="?", default=Path("results/demo"))
    times = run_times(parser.parse_args().results / "benchmarks")
    if times.empty:
        raise SystemExit("no run times there: run `make demo` first")
    print(times.to_string(index=False, float_format="{:.1f}".format))


if __name__ == "__main__":
    main()
