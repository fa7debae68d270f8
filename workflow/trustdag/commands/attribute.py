"""`trustdag attribute`: how much each training pair changed a policy's metrics."""

import argparse
from pathlib import Path

from trustdag.attribution.task import AttributionTask
from trustdag.commands import read_settings
from trustdag.layout import Results

HELP = "Score each training pair by how much it changed a policy's metrics (see docs/attribution.md)."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("--task", required=True, help="the attribution task: JSON or the path of a YAML file")
    parser.add_argument("--results", type=Path, required=True, help="the study's results folder, read and written")


def run(arguments: argparse.Namespace) -> None:
    """Writes attributions/POLICY/VERTICAL.parquet for each vertical of the task."""
    from trustdag.attribution.run import attribute
    from trustdag.models.logging_setup import hide_library_messages

    hide_library_messages()
    attribute(read_settings(arguments.task, AttributionTask, "--task"), Results(str(arguments.results)))
