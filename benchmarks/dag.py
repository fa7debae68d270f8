"""How long a dry run of a large study takes: `python benchmarks/dag.py` (1,000 and 5,000 jobs).

A study of N jobs is planned from nothing, in a folder of its own, with no data and no model. Fails if it takes more
than promised: 10 seconds of a processor for 1,000 jobs, 60 for 5,000. What else runs on the machine adds to the
seconds on the clock, and not to these.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from math import ceil
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
PROMISED = {1_000: 10.0, 5_000: 60.0}
"""Seconds of a processor, of user and system together."""
VERTICALS = ("toxicity", "bias", "ethics", "truthfulness", "privacy")


def study(jobs: int) -> dict:
    """A study of about so many jobs: each seed of a model has 4 stages, 3 policies, and 33 jobs that ask and score."""
    base = {"source": "scratch", "corpus": "crowd", "hidden_size": 32, "layers": 1, "heads": 2, "context": 512}
    return {
        "name": "large",
        "models": {"one": {"base": base}},
        "preferences": {"crowd": {"source": "toy"}},
        "stages": {name: {} for name in ("sft", "reward", "dpo", "ppo")},
        "recipes": {"base": [], "sft": ["sft"], "dpo": ["sft", "dpo"], "ppo": ["sft", "reward", "ppo"]},
        "seeds": list(range(max(1, ceil((jobs - 29) / 34)))),
        "verticals": {name: {"items": {"source": "toy"}} for name in VERTICALS},
    }


def dry_run(jobs: int) -> dict:
    """Seconds, memory and the number of jobs of one dry run."""
    with tempfile.TemporaryDirectory() as folder:
        configfile = Path(folder) / "large.yaml"
        configfile.write_text(yaml.safe_dump(study(jobs)), encoding="utf-8")
        command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory", folder]
        command += ["--configfile", str(configfile), "--dry-run", "--quiet", "rules"]
        start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        seconds = time.perf_counter() - start
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    total = next(line.split()[1] for line in (done.stdout + done.stderr).splitlines() if line.startswith("total"))
    return {
        "asked": jobs,
        "jobs": int(total),
        "seconds": round(seconds, 2),
        "cpu_seconds": round(used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime, 2),
        "mem_mb": round(used.ru_maxrss / 1000),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("jobs", type=int, nargs="*", default=list(PROMISED))
    late = False
    for jobs in parser.parse_args().jobs:
        figures = dry_run(jobs)
        print(json.dumps(figures))
        late |= figures["cpu_seconds"] > PROMISED.get(jobs, float("inf"))
    return int(late)


if __name__ == "__main__":
    sys.exit(main())
