"""Launching a command: signals, the warning before the limit, orphans, and what is written down at the end.

The launched `python -m trustdag` is a stand-in package, so that a test decides how the command behaves.
"""

import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from trustdag.cli import main
from trustdag.errors import UserError
from trustdag.jobs import launch, processes, watch
from trustdag.jobs import record as job_record
from trustdag.jobs.allocation import Allocation
from trustdag.seals import content_of_sources

WORKFLOW = Path(launch.__file__).parents[2]
TRAINER = """
    import signal, sys, time
    def stop(number, frame):
        print(f"trustdag: {signal.Signals(number).name}: saved a checkpoint at step 3", flush=True)
        sys.exit(75)
    for each in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(each, stop)
    print("training", flush=True)
    time.sleep(60)
"""


class Job:
    """Launches a command whose Python source is given."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.record = folder / "record.json"
        self.log = folder / "logs" / "job.log"
        self.allocation = Allocation(cpus=2, gpu=0, mem_mb=4000, runtime=60)
        self.stand_in = folder / "stand_in"
        self.monkeypatch = monkeypatch

    def write(self, source: str) -> None:
        """Writes the stand-in package and goes to its folder."""
        package = self.stand_in / "trustdag"
        package.mkdir(parents=True, exist_ok=True)
        (package / "__init__.py").touch()
        (package / "__main__.py").write_text(textwrap.dedent(source))
        self.monkeypatch.setenv("PYTHONPATH", str(self.stand_in))
        self.monkeypatch.chdir(self.stand_in)

    def run(self, source: str, attempt: int = 1) -> int:
        self.write(source)
        return launch.launch(self.record, self.log, attempt, self.allocation, ["work"])

    def start(self, source: str, warning: float = 1000) -> "subprocess.Popen[bytes]":
        """The launcher in a process of its own, as Snakemake starts it."""
        self.write(source)
        driver = (
            f"import os, sys; sys.path.insert(0, {str(WORKFLOW)!r}); from pathlib import Path;"
            "from trustdag.jobs import launch, watch; from trustdag.jobs.allocation import Allocation;"
            "watch.SAMPLE_SECONDS = 0.05;"
            f"os.chdir({str(self.stand_in)!r});"
            f"Allocation.warning = lambda given: {warning};"
            "given = Allocation(cpus=1, gpu=0, mem_mb=4000, runtime=60);"
            f"sys.exit(launch.launch(Path({str(self.record)!r}), Path({str(self.log)!r}), 1, given, ['work']))"
        )
        return subprocess.Popen([sys.executable, "-c", driver])

    def start_under(self, name: Path) -> "subprocess.Popen[bytes]":
        """The launcher as a shell's child, which is the child of a Python program of that name."""
        self.write(TRAINER)
        launcher = self.stand_in.parent / "launcher.py"
        launcher.write_text(
            f"import os, sys; sys.path.insert(0, {str(WORKFLOW)!r}); from pathlib import Path\n"
            "from trustdag.jobs import launch, watch; from trustdag.jobs.allocation import Allocation\n"
            "watch.SAMPLE_SECONDS = 0.05\n"
            "given = Allocation(cpus=1, gpu=0, mem_mb=4000, runtime=60)\n"
            f"sys.exit(launch.launch(Path({str(self.record)!r}), Path({str(self.log)!r}), 1, given, ['work']))\n"
        )
        shell = f"{sys.executable} {launcher}; true"
        name.write_text(f"import subprocess; subprocess.run(['bash', '-c', {shell!r}])")
        return subprocess.Popen([sys.executable, str(name)])

    def failures(self) -> list[str]:
        return [failure.kind for failure in job_record.read(self.record).failures]


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    monkeypatch.setattr(watch, "SAMPLE_SECONDS", 0.05)
    return Job(tmp_path, monkeypatch)


def wait_until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


def test_a_success_leaves_what_it_used_and_no_failures(job: Job) -> None:
    assert job.run("import time; x = bytearray(80_000_000); print('done'); time.sleep(0.5)") == 0
    record = job_record.read(job.record)
    assert record.failures == ()
    assert record.running is None
    assert record.used is not None
    assert 0.4 < record.used.seconds < 20
    assert 80 < record.used.peak_mb < 1000
    assert "done" in job.log.read_text()


def test_the_command_gets_its_arguments_and_the_threads_of_the_study_whatever_its_cpus(job: Job) -> None:
    job.allocation = Allocation(cpus=1, gpu=0, mem_mb=4000, runtime=60, threads=3)
    job.run("import os, sys; print(sys.argv[1:], os.environ['OMP_NUM_THREADS'], os.environ['MKL_DYNAMIC'])")
    assert "['work'] 3 FALSE" in job.log.read_text()


def test_threads_that_wait_sleep_unless_the_user_wants_them_to_spin(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    job.run("import os; print(os.environ['OMP_WAIT_POLICY'])")
    assert "passive" in job.log.read_text()
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    job.run("import os; print(os.environ['OMP_WAIT_POLICY'])")
    assert "active" in job.log.read_text()


@pytest.mark.parametrize(("gpu", "seen"), [(0, "-1"), (1, "7"), (2, "7,8"), (4, "7,8")])
def test_the_command_sees_the_gpus_of_its_job_alone(
    job: Job, monkeypatch: pytest.MonkeyPatch, gpu: int, seen: str
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7,8")
    job.allocation = Allocation(cpus=2, gpu=gpu, mem_mb=4000, runtime=60)
    assert job.run("import os; print('sees', os.environ['CUDA_VISIBLE_DEVICES'])") == 0
    assert f"sees {seen}\n" in job.log.read_text()


def test_an_error_is_written_down_and_not_tried_again_in_the_same_run(job: Job) -> None:
    assert job.run("raise KeyError('beta')") == 1
    assert job.failures() == ["error"]
    with pytest.raises(UserError, match="not tried again"):
        job.run("print('never')", attempt=2)
    assert "never" not in job.log.read_text()


def test_the_first_attempt_of_a_later_run_tries_again_and_clears_the_failures(job: Job) -> None:
    job.run("raise KeyError('beta')")
    assert job.run("print('mended')", attempt=1) == 0
    assert job.failures() == []


def test_the_log_keeps_every_attempt_until_a_fresh_start(job: Job) -> None:
    job.run("print('one'); raise MemoryError")
    job.log.unlink()  # as Snakemake does before each attempt
    job.run("print('two')", attempt=2)
    text = job.log.read_text()
    assert text.index("attempt 1") < text.index("one") < text.index("attempt 2") < text.index("two")
    job.run("print('three')")
    assert "one" not in job.log.read_text()


def test_running_out_of_memory_is_told_from_an_error(job: Job) -> None:
    job.run("raise MemoryError")
    assert job.failures() == ["memory"]


def test_a_kill_of_the_command_is_told_from_an_error(job: Job) -> None:
    assert job.run("import os; os.kill(os.getpid(), 9)") == 137
    assert job.failures() == ["killed"]


def test_a_killed_command_says_what_it_was_and_what_to_do(job: Job, capsys: pytest.CaptureFixture[str]) -> None:
    job.write("import os; os.kill(os.getpid(), 9)")
    with pytest.raises(SystemExit) as ended:
        main(["launch", "--record", str(job.record), "--log", str(job.log), "--mem-mb", "4000", "--", "work"])
    assert ended.value.code == 137
    said = "trustdag: killed from outside; the next attempt goes on where it was: on Slurm by itself, else start again"
    assert said in capsys.readouterr().err


def test_a_signal_reaches_the_training_which_saves_and_ends(job: Job) -> None:
    launcher = job.start(TRAINER)
    wait_until(lambda: job.log.exists() and "training" in job.log.read_text())
    launcher.send_signal(signal.SIGTERM)
    assert launcher.wait(20) == 75
    assert job.failures() == ["interrupted"]
    assert "SIGTERM: saved a checkpoint" in job.log.read_text()


def test_training_is_warned_before_its_time_is_up(job: Job) -> None:
    launcher = job.start(TRAINER, warning=1)
    assert launcher.wait(30) == 75
    assert job.failures() == ["time"]
    assert "SIGUSR1: saved a checkpoint" in job.log.read_text()


def test_a_command_that_has_nothing_to_save_is_left_to_finish(job: Job) -> None:
    launcher = job.start("import time; time.sleep(3); print('finished')", warning=1)
    assert launcher.wait(30) == 0
    assert "finished" in job.log.read_text()


def test_an_orphan_is_stopped_before_the_job_starts_again(job: Job) -> None:
    orphan = job.start(TRAINER)
    wait_until(lambda: job.log.exists() and "training" in job.log.read_text())
    assert job_record.read(job.record).running is not None
    assert job.run("print('went on')") == 0
    assert orphan.wait(20) == 75
    assert "went on" in job.log.read_text()


def test_a_launcher_that_was_killed_leaves_the_trace_of_a_kill(job: Job) -> None:
    launcher = job.start(TRAINER)
    wait_until(lambda: job.log.exists() and "training" in job.log.read_text())
    family = processes.descendants(launcher.pid)
    for pid in [launcher.pid, *family]:
        processes.send(pid, signal.SIGKILL)
    launcher.wait(20)
    job.log.unlink()  # as Snakemake does before each attempt
    assert job.run("raise KeyError('x')") == 1
    assert job.failures() == ["killed", "error"]
    text = job.log.read_text()
    assert text.count("--- attempt") == 2, "what the killed attempt had said is lost"
    assert "training" in text.split("--- attempt")[1]


def test_training_saves_and_ends_when_its_launcher_is_killed(job: Job) -> None:
    launcher = job.start(TRAINER)
    wait_until(lambda: job.log.exists() and "training" in job.log.read_text())
    launcher.kill()
    launcher.wait(20)
    wait_until(lambda: "SIGTERM: saved a checkpoint" in job.log.read_text())


@pytest.mark.parametrize("last", [True, False])
def test_training_saves_and_ends_when_the_snakemake_that_started_it_is_killed(
    last: bool, job: Job, tmp_path: Path
) -> None:
    # Given a stand-in named `snakemake` that starts the launcher by a shell, as Snakemake does; or a shell without one
    started = job.start_under(tmp_path / ("snakemake" if last else "terminal"))
    wait_until(lambda: job.log.exists() and "training" in job.log.read_text())
    # When it is killed
    started.kill()
    started.wait(20)
    # Then the training ends; without Snakemake above, only a parent counts: terminals may be closed
    if last:
        wait_until(lambda: job.failures() == ["interrupted"])
        assert "SIGTERM: saved a checkpoint" in job.log.read_text()
    else:
        time.sleep(1)
        running = job_record.read(job.record).running
        assert running is not None
        assert running.stop(20)


def test_a_full_disk_is_told_from_an_error_and_may_be_tried_again(job: Job) -> None:
    source = "import sys; print('trustdag: no room is left on the disk (x)'); sys.exit(2)"
    assert job.run(source) == 2
    assert job.failures() == ["disk"]
    assert job.run("print('went on')", attempt=2) == 0


def test_a_log_moves_to_its_place_once_an_attempt_has_succeeded(job: Job) -> None:
    job.run("print('one'); raise MemoryError")
    assert job.log.is_symlink()
    job.run("print('two')", attempt=2)
    assert not job.log.is_symlink()
    assert [path.name for path in job.record.parent.glob("record.*")] == ["record.json"]


def test_what_a_killed_attempt_held_decides_whether_memory_ran_out(job: Job) -> None:
    gone = processes.Process(host=processes.Process.ours().host, pid=2**22 - 1, started="1")
    job_record.write(job.record, job_record.Record(running=gone, held_mb=3900, mem_mb=4000, runtime=60))
    job.run("raise KeyError('x')")
    assert job.failures() == ["memory", "error"]


@pytest.mark.parametrize("edited", ["before it starts", "while it runs"])
def test_a_job_whose_source_files_are_edited_since_its_run_began_fails(
    edited: str, job: Job, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given a run that begins with one content of a file
    job.write(f"open('pairs.jsonl', 'a').write({'two' if edited == 'while it runs' else ''!r})")
    Path("pairs.jsonl").write_text("one")
    content = content_of_sources(["pairs.jsonl"])
    if edited == "before it starts":
        Path("pairs.jsonl").write_text("two")
    # Then a job that reads it fails, and names it
    options = ["--record", str(job.record), "--log", str(job.log), "--mem-mb", "4000"]
    assert main(["launch", *options, "--content", content, "--sources", "pairs.jsonl", "--", "work"]) == 2
    assert "pairs.jsonl: edited since this run began" in capsys.readouterr().err
