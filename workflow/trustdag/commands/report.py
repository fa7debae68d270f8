"""`trustdag report`: a self-contained HTML file of a study, and its tables as CSV."""

import argparse
from pathlib import Path

from trustdag.commands import read_settings
from trustdag.layout import Results
from trustdag.report.settings import PageSettings
from trustdag.stats.design import StudyDesign

HELP = "Write a study's report: a self-contained HTML file, and its tables as CSV."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("--design", required=True, help="the study's policies and verticals: JSON, or a file of it")
    parser.add_argument(
        "--results", type=Path, required=True, help="the study's results folder, with statistics/ and plots/"
    )
    parser.add_argument("--configuration", type=Path, help="the merged configuration (JSON or YAML) to show")
    parser.add_argument("--benchmarks", type=Path, help="folder of run times; default: RESULTS/benchmarks")
    parser.add_argument("--out", type=Path, required=True, help="the HTML file to write")
    parser.add_argument("--tables", type=Path, required=True, help="folder for the report's tables as CSV")
    parser.add_argument("--settings", default="{}", help="report settings: JSON, or the path of a YAML file")


def run(arguments: argparse.Namespace) -> None:
    """Gathers the study's results, and writes page and tables."""
    from trustdag.jsonfiles import read_object
    from trustdag.report.page import Source, write
    from trustdag.stats.stale import check_replies, check_settings

    settings = read_settings(arguments.settings, PageSettings)
    design = read_settings(arguments.design, StudyDesign)
    benchmarks = arguments.benchmarks or arguments.results / "benchmarks"
    files = Results(str(arguments.results))
    check_replies(design, files)
    if arguments.configuration is not None and arguments.configuration.suffix == ".json":
        check_settings(design, files, read_object(arguments.configuration, {}, "a study's configuration"))
    source = Source(design, arguments.results, arguments.configuration, benchmarks)
    write(source, settings, arguments.out, arguments.tables)
