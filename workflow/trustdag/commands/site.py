"""`trustdag site`: checks the site's file against the cluster."""

import argparse

HELP = "Check slurm/site.yaml, and whether the cluster has the partitions, the account and the GPUs that it names."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("--offline", action="store_true", help="check only the file, on a machine without Slurm")


def run(arguments: argparse.Namespace) -> None:
    """Prints the partition and account of jobs with and without GPUs."""
    from trustdag.resources import site

    site_settings = site.load()
    if not arguments.offline:
        site.check_cluster(site_settings)
    for what, gpus in (("jobs without a GPU", 0), ("jobs with GPUs", 1)):
        placed = ", ".join(f"{name} {value}" for name, value in site_settings.place(gpus).items())
        print(f"{what}: {placed or 'the default partition and account'}")
