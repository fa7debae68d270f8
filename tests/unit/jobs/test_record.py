"""The record of a job: why it failed, and what the next attempt asks for."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trustdag.errors import UserError
from trustdag.jobs import record as job_record
from trustdag.jobs.processes import Process, SlurmEnding
from trustdag.jobs.record import Ended, Failure, Record
from trustdag.layout import Results

GIVEN_MB, GIVEN_MINUTES = 1000, 60


def ended(
    returncode: int = 1,
    *,
    warned: bool = False,
    terminated: bool = False,
    seconds: float = 60.0,
    peak_mb: float = 100.0,
    tail: str = "",
) -> Ended:
    return Ended(returncode, warned, terminated, seconds, peak_mb, tail)


SAVED = "trustdag: SIGUSR1: saved a checkpoint at step 40; start again to go on\n"


@pytest.mark.parametrize(
    ("seen", "kind"),
    [
        (ended(1, tail="ValueError: no such column"), "error"),
        (ended(2, tail="trustdag: config/x.yaml: unknown key"), "error"),
        (ended(-11, tail="Segmentation fault"), "error"),
        (ended(1, tail="MemoryError\n"), "memory"),
        (ended(1, tail="RuntimeError: DefaultCPUAllocator: can't allocate memory: you tried"), "memory"),
        (ended(1, tail="numpy: Unable to allocate 3.2 GiB for an array with shape"), "memory"),
        (ended(-9, peak_mb=950), "memory"),
        (ended(137, peak_mb=950), "memory"),
        (ended(-9, peak_mb=100), "killed"),
        (ended(1, tail="  traceback : Signal 9 (SIGKILL) received by PID 12"), "killed"),
        (ended(1, tail="  traceback : Signal 9 (SIGKILL) received by PID 12", peak_mb=950), "memory"),
        (ended(1, tail="torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB"), "gpu_memory"),
        (ended(75, warned=True, seconds=3300), "time"),
        (ended(1, warned=True, seconds=3300, tail=SAVED), "time"),
        (ended(75, terminated=True, seconds=3500), "time"),
        (ended(75, terminated=True, seconds=100), "interrupted"),
        (ended(75, tail=SAVED), "interrupted"),
        (ended(-15, terminated=True, seconds=3), "interrupted"),
        (ended(1, warned=True, seconds=3300, tail="KeyError: 'x'"), "error"),
        (ended(1, tail="CUDA error: uncorrectable ECC error encountered"), "transient"),
        (ended(1, tail="OSError: [Errno 116] Stale file handle"), "transient"),
    ],
)
def test_a_failure_is_told_by_what_is_seen_of_it(seen: Ended, kind: str) -> None:
    assert job_record.classify(seen, GIVEN_MB, GIVEN_MINUTES) == kind


@pytest.mark.parametrize(
    ("states", "peak", "held", "kind"),
    [
        (("TIMEOUT",), 0, 10, "time"),
        (("OUT_OF_MEMORY",), 0, 10, "memory"),
        (("FAILED", "FAILED", "OUT_OF_MEMORY"), 0, 10, "memory"),
        (("FAILED", "FAILED", "CANCELLED"), 950, 10, "memory"),  # as Slurm itself kills what is over its memory
        (("FAILED",), 0, 900, "memory"),
        (("FAILED",), 700, 700, "killed"),
        (("NODE_FAIL",), 900, 900, "killed"),
        (("CANCELLED", "CANCELLED"), 900, 900, "killed"),
        ((), 0, 10, "killed"),
        ((), 0, 900, "memory"),
    ],
)
def test_an_attempt_that_died_without_a_word_is_told_by_its_last_traces(
    states: tuple[str, ...], peak: int, held: int, kind: str
) -> None:
    assert job_record.classify_silent(SlurmEnding(states, peak), held, GIVEN_MB) == kind


def test_our_own_job_that_was_started_again_was_not_short_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "41")
    before = Process(host="node7", pid=1, started="1", slurm_job="41")
    record = job_record.close_silent_attempt(
        Record(running=before, held_mb=950, mem_mb=1000, runtime=60, failures=(failed("time"),))
    )
    assert [failure.kind for failure in record.failures] == ["time", "killed"]
    assert record.running is None
    assert job_record.close_silent_attempt(record) == record


def failed(kind: str, mem_mb: int = GIVEN_MB, runtime: int = GIVEN_MINUTES) -> Failure:
    return Failure(kind=kind, mem_mb=mem_mb, runtime=runtime, message=f"it was {kind}")


def test_out_of_memory_doubles_memory_and_leaves_time() -> None:
    assert job_record.more_after(Record(failures=(failed("memory"),)), GIVEN_MB, GIVEN_MINUTES, 1440) == (2000, 60)


def test_out_of_time_doubles_time_up_to_the_longest_and_leaves_memory() -> None:
    record = Record(failures=(failed("time"), failed("time", runtime=120)))
    assert job_record.more_after(record, GIVEN_MB, GIVEN_MINUTES, 1440) == (1000, 240)
    assert job_record.more_after(record, GIVEN_MB, GIVEN_MINUTES, 180) == (1000, 180)


@pytest.mark.parametrize("kind", ["error", "gpu_memory", "interrupted", "killed", "transient"])
def test_no_other_failure_asks_for_more(kind: str) -> None:
    record = Record(failures=(failed(kind), failed(kind)))
    assert job_record.more_after(record, GIVEN_MB, GIVEN_MINUTES, 1440) == (GIVEN_MB, GIVEN_MINUTES)


@given(
    st.lists(st.builds(failed, st.sampled_from(list(job_record.MEANING)), st.integers(1, 10**6), st.integers(1, 10**4)))
)
def test_the_next_attempt_never_asks_for_less_than_the_estimate(failures: list[Failure]) -> None:
    memory, time = job_record.more_after(Record(failures=tuple(failures)), GIVEN_MB, GIVEN_MINUTES, 1440)
    assert memory >= GIVEN_MB
    assert GIVEN_MINUTES <= time <= max(1440, GIVEN_MINUTES)


@pytest.mark.parametrize("kind", ["error", "gpu_memory"])
def test_a_bug_is_not_tried_again_in_the_same_run_but_is_in_the_next(kind: str) -> None:
    record = Record(failures=(failed(kind),))
    assert job_record.repeats_failure(record, attempt=2) == record.failures[0]
    assert job_record.repeats_failure(record, attempt=1) is None


def test_what_was_interrupted_after_a_bug_was_mended_is_tried_again() -> None:
    assert job_record.repeats_failure(Record(failures=(failed("error"), failed("killed"))), attempt=2) is None


def test_a_record_survives_being_written_and_read(tmp_path: Path) -> None:
    record = Record(failures=(failed("memory"),), used=job_record.Usage(seconds=3.5, peak_mb=10, gpu=1, cpus=4))
    path = Results(str(tmp_path)).job_record("sft", ("toy", "crowd", "sft", "0"))
    job_record.write(path, record)
    assert job_record.read(path) == record


def test_a_job_without_a_record_has_no_failures(tmp_path: Path) -> None:
    assert job_record.read(tmp_path / "none.json") == Record()


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    path.write_text('{"failures": 3}')
    with pytest.raises(UserError, match=r"record\.json: failures.*delete the file"):
        job_record.read(path)


def test_the_last_lines_of_several_processes_are_their_own_and_not_the_launchers(tmp_path: Path) -> None:
    # Given the log of a job of several processes, one of which failed
    log = tmp_path / "log"
    report = [
        "W1127 20:30:26.123000 12 torch/distributed/elastic/multiprocessing/api.py:908] closing signal SIGTERM",
        "E1127 20:30:27.123000 12 torch/distributed/elastic/multiprocessing/api.py:882] failed (exitcode: 2)",
        *(f"line {number} of the launcher" for number in range(30)),
    ]
    log.write_text("\n".join(["a line", "trustdag: the reason", *report]))
    # Then its last lines end with the reason
    assert job_record.last_lines(log) == ["a line", "trustdag: the reason"]


def test_jobs_with_slashes_in_their_wildcards_have_records_of_their_own() -> None:
    paths = {
        Results("r").job_record("generate", (policy,))
        for policy in ("toy/base", "toy/hh/sft/seed0", "toy/hh/sft/seed1")
    }
    assert len(paths) == 3
    assert all(path.parent.name == "generate" for path in paths)
