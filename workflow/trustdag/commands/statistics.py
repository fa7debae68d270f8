"""`trustdag statistics`: computes metrics, paired differences and spread over training seeds from records."""

import argparse
import sys
from pathlib import Path

from trustdag.commands import read_settings
from trustdag.errors import UserError
from trustdag.layout import Results
from trustdag.stats.design import StudyDesign
from trustdag.stats.settings import StatisticsSettings

HELP = "Aggregate a study's records: metrics.csv, differences.csv and seeds.csv, with intervals over clusters of items."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("--design", required=True, help="the study's policies and verticals: JSON, or a file of it")
    parser.add_argument("--records-root", type=Path, help="folder with POLICY/VERTICAL.parquet; instead of --results")
    parser.add_argument(
        "--results", type=Path, help="the study's results folder; checks that its records are of its models and items"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for the tables")
    parser.add_argument("--labels", type=Path, help="human labels: a sheet of `trustdag label`, or a folder of them")
    parser.add_argument("--settings", default="{}", help="statistics settings: JSON, or the path of a YAML file")


def run(arguments: argparse.Namespace) -> None:
    """Computes and writes the three tables."""
    from trustdag.stats.stale import check_records
    from trustdag.stats.tables import compute, too_few_resamples, write

    settings = read_settings(arguments.settings, StatisticsSettings)
    design = read_settings(arguments.design, StudyDesign)
    if (arguments.results is None) == (arguments.records_root is None):
        raise UserError("give either --results or --records-root")
    root = arguments.records_root
    if root is None:
        files = Results(str(arguments.results))
        check_records(design, files)
        root = Path(files.all_records)
    tables = compute(design, root, settings, lambda line: print(line, flush=True), arguments.labels)
    write(tables, arguments.out)
    warning = too_few_resamples(tables, settings)
    if warning:
        print(warning, file=sys.stderr, flush=True)
