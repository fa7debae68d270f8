"""`trustdag pending`: the pending jobs of a study, with reasons and costs."""

import argparse
import math
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from trustdag.commands import at_least

if TYPE_CHECKING:
    from trustdag.pending.cost import Machine

HELP = "List the pending jobs of a study with their reasons and costs, from a dry run of its DAG."

PASSES_ON = True
CLUSTER_GPUS = 8
"""GPUs of a cluster, where `--gpus` does not say."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    add_study_arguments(parser)
    parser.add_argument(
        "--gpus",
        type=at_least(0),
        metavar="N",
        help="GPUs for the time until all is done (this machine's; 8 with a profile)",
    )
    parser.add_argument(
        "--cores", type=at_least(1), metavar="N", help="cores for it (this machine's; with a profile or --gpus, enough)"
    )
    parser.add_argument("--json", action="store_true", help="print every job as JSON")
    parser.add_argument("--mermaid", type=Path, metavar="FILE", help="write the DAG as a Mermaid flow chart")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="write the DAG as a picture")


def add_study_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options that select a study."""
    parser.add_argument(
        "--configfile",
        type=Path,
        nargs="+",
        default=[],
        metavar="FILE",
        help="the study; its files may also stand first; without it, the demo",
    )
    parser.add_argument(
        "--config", nargs="+", default=[], metavar="KEY=VALUE", help="keys of the study that differ from its file"
    )
    parser.add_argument("--profile", help="Snakemake's profile, such as slurm")
    parser.epilog = "All other options and targets, and whatever follows `--`, are those of snakemake."


def run(arguments: argparse.Namespace) -> None:
    """Prints the table or the JSON, and writes the requested pictures."""
    import json

    from trustdag.artifacts import atomic_file
    from trustdag.pending import dryrun, picture, table
    from trustdag.pending.cost import costs_of, measured
    from trustdag.pending.reasons import explained

    options = snakemake_options(arguments)
    result = dryrun.dry_run(options)
    jobs = result.jobs
    machine = machine_of(arguments)
    why, costs = explained(jobs, result.code), costs_of(jobs, measured(jobs), machine)
    if arguments.json:
        print(json.dumps(table.as_json(jobs, why, costs, machine), indent=2))
    else:
        print(table.as_text(jobs, why, costs, machine))
    if arguments.mermaid or arguments.svg:
        boxes = picture.boxes(dryrun.everything(options), jobs)
        for path, draw in ((arguments.mermaid, picture.mermaid), (arguments.svg, picture.svg)):
            if path is not None:
                with atomic_file(path) as partial:
                    partial.write_text(draw(boxes), encoding="utf-8")


def machine_of(arguments: argparse.Namespace) -> "Machine":
    """What the jobs run on: this machine or, with a profile or `--gpus`, one with cores enough."""
    from trustdag.pending.cost import Machine
    from trustdag.resources.calibration import slowness

    if arguments.gpus is not None:
        gpus = arguments.gpus
    else:
        gpus = CLUSTER_GPUS if arguments.profile else len(list(Path("/dev").glob("nvidia[0-9]*")))
    elsewhere = arguments.profile or arguments.gpus is not None
    cores = math.inf if elsewhere else os.cpu_count() or 1
    results = Path("results")  # may be a link to another disk
    free = shutil.disk_usage(results if results.is_dir() else Path.cwd()).free
    return Machine(gpus, arguments.cores or cores, slowness(), free / 1e6)


def snakemake_options(arguments: argparse.Namespace) -> list[str]:
    """Snakemake's options for the study: the configuration, the profile, and what was passed on.

    Raises UserError for a configuration file that is missing, is no study, or would run code in Snakemake's loader.
    """
    from trustdag.config.load import merged, plugins_of, refuse_templates
    from trustdag.plugins import files

    rest = arguments.snakemake
    paths = [*arguments.configfile, *_configfiles(rest)]
    refuse_templates(paths)
    files.say(plugins_of(merged(*paths)))
    chosen = ["--profile", arguments.profile] if arguments.profile is not None else []
    if arguments.configfile:
        chosen += ["--configfile", *map(str, arguments.configfile)]
    if arguments.config:
        chosen += ["--config", *arguments.config]
    return [*rest, *chosen]


def _configfiles(options: Sequence[str]) -> Iterator[Path]:
    """The configuration files among Snakemake's options, of which Snakemake also takes abbreviations."""
    takes_files = False
    for option in options:
        if option.startswith("-"):
            name, _, option = option.partition("=")
            takes_files = len(name) > len("--config") and "--configfiles".startswith(name)
        if takes_files and option:
            yield Path(option)
