"""A Slurm that does not answer, or loses jobs that wait: the study ends, complete, without burning its attempts."""

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import Stage, slurm

VERTICALS = ("bias", "ethics", "privacy", "toxicity", "truthfulness")
SHIM = """#!/bin/sh
[ -e {away} ] && {{ echo "{name}: error: Unable to contact slurm controller (connect failure)" >&2; exit 1; }}
exec {program} "$@"
"""


class Interrupted(Stage):
    """A stage whose main process finds some of Slurm's commands unanswered while a file is there."""

    def __init__(self, folder: Path, commands: tuple[str, ...]) -> None:
        super().__init__(folder, {}, 40)
        self.away = folder / "away"
        shims = folder / "shims"
        shims.mkdir()
        for name in commands:
            (shims / name).write_text(SHIM.format(away=self.away, name=name, program=shutil.which(name)))
            (shims / name).chmod(0o755)
        self.environment["PATH"] = os.pathsep.join([str(shims), self.environment["PATH"]])
        self.environment["TRUSTDAG_SLURM_PAUSE"] = "2"

    def attempts(self) -> int:
        """How often the stage was started."""
        return self.log.read_text().count("--- attempt")


class Fetch(Stage):
    """All that a study of five verticals gets from elsewhere: many small jobs at once."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, {}, 40)
        self.command = [*self.command[:3], "fetch", *self.command[4:]]

    def study(self, asked: dict[str, Any], steps: int) -> dict[str, Any]:
        """The stage's study with every vertical."""
        items = {"items": {"source": "toy", "n": 24}}
        return super().study(asked, steps) | {"verticals": dict.fromkeys(VERTICALS, items)}


@pytest.fixture
def stopped() -> Iterator[list[Stage]]:
    """Runs that are ended with the test."""
    runs: list[Stage] = []
    yield runs
    for run in runs:
        run.stop()


def test_submissions_wait_while_slurm_is_away(tmp_path: Path, stopped: list[Stage]) -> None:
    run = Interrupted(tmp_path, ("sbatch", "squeue", "sacct"))
    stopped.append(run)
    # Given a run whose first job, the data, is done while Slurm goes away
    run.start()
    run.wait_until(lambda: "has been submitted" in run.said.read_text(), "the first submission")
    run.away.touch()
    run.wait_until(lambda: "as soon as Slurm answers" in run.said.read_text(), "a question without an answer")
    time.sleep(15)
    assert run.lives()
    # When it answers again
    run.away.unlink()
    # Then the study goes on, and no attempt was lost
    run.finish()
    assert run.attempts() == 1


def test_a_submission_that_finds_no_slurm_is_made_when_it_answers(tmp_path: Path, stopped: list[Stage]) -> None:
    run = Interrupted(tmp_path, ("sbatch",))
    stopped.append(run)
    run.away.touch()
    run.start()
    run.wait_until(lambda: "trying again" in run.said.read_text(), "a submission without an answer")
    time.sleep(10)
    run.away.unlink()
    assert "Slurm answers again" in run.finish()
    assert run.attempts() == 1


def test_without_accounting_a_study_ends_all_the_same(tmp_path: Path, stopped: list[Stage]) -> None:
    run = Interrupted(tmp_path, ("sacct", "sacctmgr", "sshare"))
    stopped.append(run)
    run.away.touch()
    run.start()
    said = run.finish()
    assert "going on" in said
    assert run.attempts() == 1


def test_half_of_the_queue_is_cancelled(tmp_path: Path, stopped: list[Stage]) -> None:
    run = Fetch(tmp_path)
    stopped.append(run)
    run.start()
    run.wait_until(lambda: run.said.read_text().count("has been submitted") >= len(VERTICALS), "the queue")
    submitted = [
        line.split("SLURM jobid ")[1].split()[0] for line in run.said.read_text().splitlines() if "jobid " in line
    ]
    slurm("scancel", *submitted[::2])
    run.finish()
    assert all((run.results / "items" / f"{vertical}.parquet").exists() for vertical in VERTICALS)
    assert (run.results / "data" / "crowd" / "card.json").exists()


def test_a_broken_site_file_is_named_before_anything_is_submitted(tmp_path: Path, stopped: list[Stage]) -> None:
    run = Stage(tmp_path, {}, 40)
    stopped.append(run)
    site = tmp_path / "site.yaml"
    site.write_text("cpu: {partition: [main\n")
    run.environment["TRUSTDAG_SITE"] = str(site)
    run.start()
    assert run.wait() == 1
    assert f"{site}: not YAML" in run.said.read_text()
    assert "submitted" not in run.said.read_text()
