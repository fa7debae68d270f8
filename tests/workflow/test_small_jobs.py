"""Many small jobs on a cluster: the main process runs those that the site's file names, and submits none of them."""

import os
from pathlib import Path

import pytest
import yaml

from .conftest import ROOT, snakemake

FAKES = {"sbatch": 'echo "$@" >> "$CALLS"; exit 1', "scontrol": "exit 0", "sinfo": "exit 0", "squeue": "exit 0"}
"""A Slurm that answers, and notes each submission."""


@pytest.mark.slow
def test_rules_that_the_site_names_are_not_submitted(study: Path, tmp_path: Path) -> None:
    # Given a finished study on a cluster, whose records of one policy, statistics and page are gone
    for path in (study / "results" / "smoke" / "records" / "tiny" / "base").iterdir():
        path.unlink()
    (study / "results" / "smoke" / "statistics" / "metrics.csv").unlink()
    (study / "results" / "smoke" / "report.html").unlink()
    for name, does in FAKES.items():
        (tmp_path / "bin").mkdir(exist_ok=True)
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{does}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    # When the site lets the main process run such jobs
    local = ["items", "score", "statistics", "plot", "report"]
    (tmp_path / "site.yaml").write_text(yaml.safe_dump({"local": local, "local_cores": 2}))
    run = snakemake(
        study, "--profile", str(ROOT / "slurm"), "--quiet", "rules", PATH=f"{tmp_path / 'bin'}:{os.environ['PATH']}",
        TRUSTDAG_SITE=str(tmp_path / "site.yaml"), CALLS=str(tmp_path / "calls"),
    )  # fmt: skip
    # Then they are done, and nothing was submitted
    assert run.returncode == 0, run.stdout + run.stderr
    assert (study / "results" / "smoke" / "report.html").is_file()
    assert not (tmp_path / "calls").exists()
