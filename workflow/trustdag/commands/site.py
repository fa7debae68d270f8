"""`trustdag site`: checks the site's file, and asks the cluster whether it has what the file names."""

import argparse

HELP = (
    "Check slurm/site.yaml, and ask the cluster whether it has the partitions, the account and the GPUs that it names."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the option of `trustdag site`."""
    parser.add_argument("--offline", action="store_true", help="check the file alone, where there is no Slurm")


def run(arguments: argparse.Namespace) -> None:
    """Prints what jobs with and without GPUs get."""
    from trustdag.resources import site

    found = site.load()
    if not arguments.offline:
        site.check_cluster(found)
    for what, gpus in (("jobs without a GPU", 0), ("jobs with GPUs", 1)):
        placed = ", ".join(f"{name} {value}" for name, value in found.place(gpus).items())
        print(f"{what}: {placed or 'the default partition and account'}")
