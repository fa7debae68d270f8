"""`trustdag pending`: what a study has still to do, why, and what it will cost."""

import argparse
from pathlib import Path

HELP = "What a study has still to do, why, and what it will cost: from a dry run of the very same DAG."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `trustdag pending`."""
    parser.add_argument("--configfile", help="the study; without it, the embedded demo")
    parser.add_argument("--profile", help="Snakemake's profile, such as slurm")
    parser.add_argument("--gpus", type=int, default=8, help="GPUs for the time until all is done (8)")
    parser.add_argument("--json", action="store_true", help="for machines: every job")
    parser.add_argument("--mermaid", type=Path, metavar="FILE", help="write the DAG as a Mermaid flow chart")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="write the DAG as a picture")
    parser.add_argument("snakemake", nargs=argparse.REMAINDER, help="-- further options and targets of snakemake")


def run(arguments: argparse.Namespace) -> None:
    """Prints the table or the JSON, and writes the pictures that were asked for."""
    import json

    from trustdag.artifacts import atomic_file
    from trustdag.pending import dryrun, picture, table
    from trustdag.pending.cost import cost, measured
    from trustdag.pending.reasons import explained

    options = snakemake_options(arguments)
    jobs, code = dryrun.pending_and_code(options)
    used = measured(jobs)
    why, costs = explained(jobs, code), {job.id: cost(job, used) for job in jobs}
    if arguments.json:
        print(json.dumps(table.as_json(jobs, why, costs, arguments.gpus), indent=2))
    else:
        print(table.as_text(jobs, why, costs, arguments.gpus))
    if arguments.mermaid or arguments.svg:
        found = picture.boxes(dryrun.everything(options), jobs)
        for path, draw in ((arguments.mermaid, picture.mermaid), (arguments.svg, picture.svg)):
            if path is not None:
                with atomic_file(path) as partial:
                    partial.write_text(draw(found), encoding="utf-8")


def snakemake_options(arguments: argparse.Namespace) -> list[str]:
    """The options with which Snakemake sees the study: the configuration, the profile, and what stands after `--`."""
    rest = arguments.snakemake[1:] if arguments.snakemake[:1] == ["--"] else arguments.snakemake
    chosen = []
    for name in ("configfile", "profile"):
        if getattr(arguments, name) is not None:
            chosen += [f"--{name}", getattr(arguments, name)]
    return [*rest, *chosen]
