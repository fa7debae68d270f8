"""A run on the terminal: its state from Snakemake's events, what it shows, and the plugin under Snakemake itself."""

import io
import logging
import os
import pty
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from trustdag.jobs import record as job_record
from trustdag.jobs.processes import Process
from trustdag.terminal.events import Events
from trustdag.terminal.lines import PlainLines
from trustdag.terminal.live import LiveTable
from trustdag.terminal.look import Look, last_progress, look_at
from trustdag.terminal.run import StudyRun

WORKFLOW = Path(__file__).parents[3] / "workflow"
SNAKEFILE = """
rule all:
    input: expand("out{number}", number=range(3))
rule make:
    output: "out{number}"
    log: "log{number}.txt"
    message: "Make number {wildcards.number}"
    shell:
        "echo 'x train: 3 of 9 steps, loss 1, about 5 s left' > {log};"
        "test {wildcards.number} != BROKEN || {{ echo it is broken >> {log}; exit 1; }}; sleep 1; touch {output}"
"""


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def event(kind: str | None, **values: Any) -> logging.LogRecord:
    """A log record as Snakemake makes it."""
    record = logging.LogRecord(
        "snakemake", values.pop("level", logging.INFO), "", 0, values.pop("text", None), (), None
    )
    record.__dict__.update(event=kind, **values)
    return record


def job_info(number: int, rule: str, **values: Any) -> logging.LogRecord:
    """The event that a job is started."""
    values = {"rule_msg": f"{rule} {number}", "log": [], "resources": SimpleNamespace(items={}.items)} | values
    return event("job_info", jobid=number, rule_name=rule, **values)


def shown(*records: logging.LogRecord) -> str:
    """What plain lines say of these events."""
    out = io.StringIO()
    run = StudyRun(Clock())
    display = PlainLines(run, out)
    events = Events(run, display)
    for record in records:
        events.take(record)
    display.close()
    return out.getvalue()


class TestRun:
    def test_the_remaining_time_is_that_of_the_same_rules_by_the_jobs_at_once(self) -> None:
        # Given two rules, two jobs at once, and one job of each finished after 10 and 30 seconds
        clock = Clock()
        run = StudyRun(clock)
        run.plan({"quick": 3, "slow": 2, "total": 5})
        run.start(0, "quick", "", None, None)
        run.start(1, "slow", "", None, None)
        clock.now = 10.0
        run.finish(0)
        assert run.left() is None  # no slow job was ever finished
        run.start(2, "quick", "", None, None)
        clock.now = 30.0
        run.finish(1)
        run.finish(2)

        # Then one quick job (median of 10 and 20 seconds) and one slow one remain, two at once
        assert run.left() == pytest.approx((15 + 30) / 2)
        assert (run.done, run.total) == (3, 5)

    def test_earlier_runs_tell_how_long_a_rule_takes(self, tmp_path: Path) -> None:
        folder = tmp_path / "sft"
        folder.mkdir()
        used = job_record.Usage(seconds=42.0, peak_mb=1.0, gpu=0, cpus=1)
        job_record.write(folder / "a.json", job_record.Record(used=used))
        (folder / "damaged.json").write_text("{")
        run = StudyRun(Clock())
        run.plan({"sft": 2, "total": 2})

        run.start(0, "sft", "", None, str(folder / "b.json"))

        assert run.left() == pytest.approx(84.0)

    def test_the_end_of_a_job_whose_start_was_not_told_is_no_error(self) -> None:
        assert StudyRun().finish(3) is None
        assert StudyRun().fail(3) is None


class TestLook:
    def test_a_job_tells_its_newest_progress_and_its_memory(self, tmp_path: Path) -> None:
        log, record = tmp_path / "log.txt", tmp_path / "record.json"
        log.write_text(
            "--- attempt 1\nsft train: 1 of 9 steps\nsft train: 2 of 9 steps, loss 1.5, about 7.0 s left\nwarning\n"
        )
        job_record.write(record, job_record.Record(running=Process.ours(), held_mb=612.0))
        job = StudyRun(Clock()).start(0, "sft", "", str(log), str(record))

        look = look_at(job)

        assert look.progress is not None
        assert (look.progress.done, look.progress.details, look.progress.left) == (2, "loss 1.5", "7.0 s")
        assert look.memory_mb == 612.0

    def test_a_submitted_job_waits_until_its_launcher_writes(self, tmp_path: Path) -> None:
        job = StudyRun(Clock()).start(0, "sft", "", None, str(tmp_path / "none.json"))
        assert look_at(job) == Look(waits=True)

    def test_progress_of_an_earlier_attempt_is_not_shown(self, tmp_path: Path) -> None:
        log = tmp_path / "log.txt"
        log.write_text("--- attempt 1\nsft train: 8 of 9 steps\n--- attempt 2, later\nLoading\n")
        assert last_progress(log) is None
        assert last_progress(tmp_path / "none.txt") is None


class TestEvents:
    def test_a_finished_job_is_one_line_with_the_state_of_the_run(self) -> None:
        text = shown(
            event("run_info", stats={"sft": 2, "total": 2}), job_info(1, "sft"), event("job_finished", job_id=1)
        )
        assert text.splitlines()[0] == "sft 1: done in 0.0 s (1 of 2 jobs, 0.0 s, about 0.0 s left)"

    def test_a_failed_job_shows_the_end_of_its_log_and_where_it_is(self, tmp_path: Path) -> None:
        log = tmp_path / "log.txt"
        log.write_text("".join(f"line {number}\n" for number in range(40)))
        text = shown(job_info(1, "sft", log=[str(log)]), event("job_error", jobid=1, rule_name="sft"))
        assert text.startswith("Failed: sft 1\n  | line 28\n")
        assert f"  | line 39\n  The whole log: {log}\n" in text

    def test_noise_is_left_out_and_what_matters_is_said_once(self) -> None:
        text = shown(
            event(None, text="Select jobs to execute..."),
            event(None, text="Nothing to be done (all requested files are present and up to date)."),
            event(None, text="Will exit after finishing currently running jobs (scheduler)."),
            event(None, text="Will exit after finishing currently running jobs (scheduler)."),
            event("error", text="a long command", level=logging.ERROR, exception="CalledProcessError"),
            event(None, text="the disk is nearly full", level=logging.WARNING),
        )
        assert text.splitlines() == [
            "Nothing to be done (all requested files are present and up to date).",
            "Will exit after finishing currently running jobs (scheduler).",
            "the disk is nearly full",
        ]


class TestDisplays:
    def test_the_table_has_a_row_a_rule_and_a_line_a_running_job(self) -> None:
        clock = Clock()
        run = StudyRun(clock)
        run.plan({"base": 1, "sft": 30, "total": 31})
        run.start(0, "base", "Base model toy", None, None)
        clock.now = 5.0
        run.finish(0)
        for number in range(1, 15):
            run.start(number, "sft", f"SFT {number}", None, None)
        run.fail(14)
        out = io.StringIO()
        display = LiveTable(run, Console(file=out, width=100))
        display.console.print(display.draw())
        display.close()

        lines = [line.rstrip() for line in out.getvalue().splitlines()]
        assert "1 of 31 jobs, 5.0 s" in lines
        assert any(line.split()[:4] == ["base", "1", "of", "1"] for line in lines)
        assert any(line.split()[:4] == ["sft", "0", "of", "30"] and "1 failed attempt" in line for line in lines)
        assert "  SFT 12  0.0 s" in lines
        assert "  and 1 more" in lines
        assert lines[-1] == "1 of 31 jobs done in 5.0 s, 1 failed attempt"

    def test_the_table_fits_a_low_window(self) -> None:
        run = StudyRun(Clock())
        run.plan({f"rule{number}": 1 for number in range(15)})
        for number in range(10):
            run.start(number, f"rule{number}", f"Job {number}", None, None)
        out = io.StringIO()
        display = LiveTable(run, Console(file=out, width=80, height=24))
        display.console.print(display.draw())
        display.close()

        drawn = out.getvalue().partition(" jobs done")[0]
        assert "and 6 more" in drawn
        assert len(drawn.splitlines()) <= 25

    def test_a_job_that_runs_long_is_mentioned_now_and_then(self) -> None:
        out = io.StringIO()
        run = StudyRun()
        display = PlainLines(run, out, interval=0.05)
        run.start(0, "ppo", "PPO", None, None)
        deadline = time.monotonic() + 10
        while "PPO: " not in out.getvalue() and time.monotonic() < deadline:
            time.sleep(0.02)
        display.close()
        assert "PPO: 0." in out.getvalue()


def snakemake(folder: Path, broken: str, *options: str) -> list[str]:
    """Snakemake's command for the workflow above, with the logger."""
    (folder / "Snakefile").write_text(SNAKEFILE.replace("BROKEN", broken))
    return [sys.executable, "-m", "snakemake", "all", "--cores", "3", "--logger", "trustdag", *options]


def environment() -> dict[str, str]:
    """The environment in which Snakemake finds the plugin."""
    return os.environ | {"PYTHONPATH": str(WORKFLOW), "TERM": "xterm", "COLUMNS": "100"}


class TestUnderSnakemake:
    def test_in_a_pipe_it_writes_plain_lines(self, tmp_path: Path) -> None:
        done = subprocess.run(
            snakemake(tmp_path, "2", "--keep-going"), cwd=tmp_path, env=environment(), capture_output=True, text=True
        )
        assert done.returncode == 1
        assert "Make number 0: done in" in done.stderr
        assert "Failed: Make number 2\n  | x train: 3 of 9 steps" in done.stderr
        assert "  | it is broken\n" in done.stderr
        assert "\033" not in done.stderr
        assert "2 of 4 jobs done in" in done.stderr
        assert "Select jobs" not in done.stderr

    def test_on_a_terminal_the_table_goes_away_at_the_end(self, tmp_path: Path) -> None:
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            snakemake(tmp_path, "none"), cwd=tmp_path, env=environment(), stdout=theirs, stderr=theirs
        )
        os.close(theirs)
        written = b""
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:  # Linux says so when the other end is closed
                break
            if not part:
                break
            written += part
        os.close(ours)
        text = written.decode()

        assert process.wait() == 0
        assert "Make number 1" in text
        assert "3 of 9 steps, about 5 s left, loss 1" in text
        assert text.rstrip().rpartition("\n")[2].endswith("4 jobs done in " + text.rstrip().rpartition("done in ")[2])

    def test_a_dry_run_keeps_snakemakes_own_output(self, tmp_path: Path) -> None:
        done = subprocess.run(
            snakemake(tmp_path, "none", "--dry-run"), cwd=tmp_path, env=environment(), capture_output=True, text=True
        )
        assert done.returncode == 0
        assert "Make number 1" in done.stdout + done.stderr
        assert "This was a dry-run" in done.stdout + done.stderr

    def test_the_plugin_leaves_the_package_to_the_workflow(self) -> None:
        # Given that Snakemake imports every plugin before it reads a workflow, which may lie in another clone
        code = "import snakemake_logger_plugin_trustdag, sys; sys.exit('trustdag' in sys.modules)"
        assert subprocess.run([sys.executable, "-c", code], env=environment()).returncode == 0
