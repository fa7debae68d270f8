"""`trustdag plot NAME`: one plot, as SVG and PNG."""

import argparse
from pathlib import Path

from trustdag.commands import read_settings
from trustdag.report import plots
from trustdag.stats.design import StudyDesign

HELP = "Draw one plot of a study as SVG and PNG."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("name", choices=plots.names(), help="which plot")
    parser.add_argument("--design", required=True, help="the study's policies and verticals: JSON, or a file of it")
    parser.add_argument("--results", type=Path, required=True, help="the study's results folder")
    parser.add_argument("--out", type=Path, required=True, help="the .svg to write; a .png is written next to it")
    parser.add_argument("--settings", default="{}", help="the plot's settings: JSON, or the path of a YAML file")


def run(arguments: argparse.Namespace) -> None:
    """Draws and writes the plot."""
    from trustdag.report.draw import render

    module = plots.module(arguments.name)
    settings = read_settings(arguments.settings, module.Settings)
    design = read_settings(arguments.design, StudyDesign)
    render(module, design, arguments.results, settings, arguments.out)
