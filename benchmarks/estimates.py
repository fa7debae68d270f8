"""Compares the estimates of `trustdag pending` with the recorded durations and memory of a run's jobs.

    snakemake --configfile config/smoke.yaml --cores 1
    python benchmarks/estimates.py config/smoke.yaml

Both in processor time of jobs on CPUs, which other work on the machine changes little; where a record has none (of
several nodes, or older than 0.4), in seconds. Prints a line for each kind of job, and the whole. The estimate knows
what the run has prepared; `--before` is what is expected before anything is.
"""

import argparse
from collections import defaultdict
from pathlib import Path

from trustdag.align import methods
from trustdag.config.load import load
from trustdag.config.study import Study
from trustdag.jobs import record
from trustdag.resources import calibration, duration


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("configuration", type=Path, help="the study")
    parser.add_argument("--records", type=Path, help="folder of the records (results/NAME/.jobs)")
    parser.add_argument("--data-root", help="data_root of a study that has one")
    parser.add_argument("--before", action="store_true", help="expect as if nothing were prepared")
    arguments = parser.parse_args()
    study = load(arguments.configuration, **({"data_root": arguments.data_root} if arguments.data_root else {}))
    records = (arguments.records or Path("results") / study.name / ".jobs").resolve()
    if arguments.before:
        study = study.model_copy(update={"name": "nothing-is-prepared-here"})
    factor = calibration.slowness()
    print(f"This machine takes {factor:.2f} times as long as the reference.\n")
    print("| jobs | number | expected, s | measured, s | ratio |\n|---|---:|---:|---:|---:|")
    sums: dict[str, list[float]] = defaultdict(lambda: [0, 0.0, 0.0])
    for path in sorted(records.glob("*/*.json")):
        used = record.read(path).used
        if used is not None:
            rule = path.parent.name
            taken = used.processor_seconds if used.processor_seconds is not None else used.seconds
            for kind in (rule, "all"):
                sums[kind][0] += 1
                sums[kind][1] += factor * expected(study, rule, path.stem)
                sums[kind][2] += taken
    for kind, (count, expectation, taken) in sorted(sums.items(), key=lambda entry: entry[1][2]):
        print(f"| {kind} | {count:.0f} | {expectation:.1f} | {taken:.1f} | {expectation / taken:.2f} |")


def expected(study: Study, rule: str, record_name: str) -> float:
    """Processor seconds of the job with this record on the reference machine."""
    wildcards = wildcards_of(rule, record_name)
    return duration.seconds(study, rule, wildcards, gpus=0, cpus=1)


def wildcards_of(rule: str, name: str) -> dict[str, str]:
    """The wildcards of a job, from the name of its record."""
    parts = name.split(",")
    if rule in methods():
        return dict(zip(("model", "preferences", "chain", "seed"), parts, strict=True))
    if rule == "base":
        return dict(zip(("model", "external"), parts, strict=True))
    if rule in ("generate", "attribute"):
        return {"policy": "/".join(parts[:-1]), "vertical": parts[-1]}
    return {}


if __name__ == "__main__":
    main()
