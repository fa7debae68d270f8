"""`trustdag plan`: selects the pending part of a study to run first under a budget of GPU-hours."""

import argparse
import math
from pathlib import Path

from trustdag.commands import at_least
from trustdag.commands.pending import add_study_arguments, snakemake_options

HELP = "Select the pending part of a study to run first, so that a budget of GPU-hours covers the most comparisons."
PASSES_ON = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("--gpu-hours", type=at_least(0), required=True, help="the budget")
    add_study_arguments(parser)
    parser.add_argument("--seconds", type=at_least(0), default=60, help="time to find and prove the best plan (60)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the targets to this file, one per line")


def run(arguments: argparse.Namespace) -> None:
    """Prints the plan, its coverage and costs, and the targets for Snakemake."""
    from trustdag import dag
    from trustdag.artifacts import atomic_file
    from trustdag.config.load import plugins_of
    from trustdag.config.study import Study
    from trustdag.layout import Results
    from trustdag.pending import dryrun
    from trustdag.pending.cost import Machine, costs_of, measured
    from trustdag.plan import Task, choose, comparisons_of
    from trustdag.plugins import files
    from trustdag.resources.calibration import slowness

    result = dryrun.dry_run(snakemake_options(arguments))
    files.use(plugins_of(result.study))
    study, jobs = Study.model_validate(result.study), result.jobs
    most = max((job.gpu for job in jobs), default=0)
    costs = costs_of(jobs, measured(jobs), Machine(most, math.inf, slowness()))
    makers = {name: job.id for job in jobs for name in job.outputs}
    tasks = [Task(job.id, costs[job.id].gpu_hours, job.needs) for job in jobs]
    comparisons = comparisons_of(dag.study_design(study), study.plan, Results.of(study.name), makers)
    plan = choose(tasks, comparisons, arguments.gpu_hours, arguments.seconds)
    targets = sorted({name for comparison in plan.covered for name in comparison.targets if name in makers})
    everything, worth = sum(entry.gpu_hours for entry in costs.values()), sum(entry.weight for entry in comparisons)
    guess = "~" if any(entry.source == "estimate" for entry in costs.values()) else ""
    print(
        f"{len(plan.covered)} of {len(comparisons)} comparisons, worth {plan.value:.4g} of {worth:.4g},"
        f" for {guess}{plan.hours:.2f} of {arguments.gpu_hours:g} GPU-hours"
        f" (all that is pending: {guess}{everything:.2f})"
    )
    print("no plan is better" if plan.proven else f"not proven: the best plan is worth at most {plan.bound:.4g}")
    if arguments.out is not None:
        with atomic_file(arguments.out) as partial:
            partial.write_text("".join(f"{name}\n" for name in targets), encoding="utf-8")
        print(f"snakemake $(cat {arguments.out})")
    else:
        print("\n".join(targets) or "nothing to run")
