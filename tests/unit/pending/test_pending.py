"""Pending jobs: reasons, costs, the critical path, the time on N GPUs, and the picture."""

import subprocess
from collections.abc import Iterable
from math import inf
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trustdag.cli import main
from trustdag.errors import UserError
from trustdag.fingerprint import ROOT
from trustdag.jobs.record import Usage
from trustdag.pending import dryrun, picture, table
from trustdag.pending.cost import Machine, cost, costs_of, critical_path, makespan
from trustdag.pending.dryrun import Job
from trustdag.pending.reasons import before_and_now, differences, in_words

# --- Reasons ---

PARAMS = "Params have changed since last execution: Union of exclusive params before and now across all output: "
NONE: frozenset[str] = frozenset()


def changed(before: str, now: str) -> str:
    return f"{PARAMS}before: {before} now: {now} "


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("Missing output files: a, b", "new"),
        ("Missing output files: a; Input files updated by another job: x", "new"),
        ("Input files updated by another job: x", "follows base, sft"),
        ("Updated input files: data/hh.jsonl", "data/hh.jsonl updated"),
        ("Incomplete output files: a", "stopped before it was done"),
        ("Code has changed since last execution", "the rule's command"),
        ("Set of input files has changed since last execution", "other inputs than before"),
        ("Software environment definition has changed since last execution", "the rule's conda environment"),
        ("Forced execution", "forced"),
        (changed('\'{"beta": 0.1, "steps": 5}\'', '\'{"beta": 0.2, "steps": 5}\''), "beta 0.1 -> 0.2"),
        (changed("'{\"lora\": null}'", '\'{"lora": {"rank": 8}}\''), 'lora null -> {"rank": 8}'),
        (changed('\'{"a": {"b": 1}}\'', '\'{"a": {"b": 2}}\''), "a.b 1 -> 2"),
        (changed("'hh'", "'chat'"), "hh -> chat"),
        (changed("<nothing exclusive>", "3"), "nothing -> 3"),
        (changed("'0123456789abcdef'", "'fedcba9876543210'"), "code of align/ppo.py"),
        (changed("'0000000000000000'", "'fedcba9876543210'"), "code of its modules"),
        (
            changed("'{\"k\": 1}','0123456789abcdef'", "'{\"k\": 2}','fedcba9876543210'"),
            "k 1 -> 2, code of align/ppo.py",
        ),
        ("Updated input files: x; " + changed("1", "2"), "x updated; 1 -> 2"),
    ],
)
def test_a_reason_is_told_in_words(reason: str, words: str) -> None:
    book = {
        "0123456789abcdef": {"align/ppo.py": "1", "rl/losses.py": "5"},
        "fedcba9876543210": {"align/ppo.py": "2", "rl/losses.py": "5"},
    }
    assert in_words(reason, NONE, book, ["sft", "base"]) == words


def test_an_output_that_is_gone_is_told_from_a_new_job() -> None:
    assert in_words("Missing output files: r/a.png", frozenset({"r/a.svg"}), {}) == "r/a.png is gone"


def test_a_parameter_that_contains_the_words_of_a_reason_is_read_whole() -> None:
    before = ["Forced execution; before: 1 now: 2 ", 0.5]
    now = ["x now: 'y'"]
    text = f"Union: before: {','.join(map(repr, before))} now: {','.join(map(repr, now))} "
    assert before_and_now(text) == (before, now)


def test_many_changes_are_counted_not_listed() -> None:
    old, new = {str(key): 0 for key in range(9)}, {str(key): 1 for key in range(9)}
    import json

    words = in_words(changed(repr(json.dumps(old)), repr(json.dumps(new))), NONE, {})
    assert words == "0 0 -> 1, 1 0 -> 1, 2 0 -> 1, and 6 more"


leaves = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
values = st.recursive(leaves, lambda inner: st.dictionaries(st.text(max_size=3), inner, max_size=3), max_leaves=8)


@given(st.dictionaries(st.text(max_size=3), values, max_size=4))
def test_equal_settings_have_no_differences(settings: dict[str, Any]) -> None:
    assert list(differences(settings, settings)) == []


@given(st.lists(st.text(max_size=8) | st.integers(), min_size=1), st.lists(st.text(max_size=8), min_size=1))
def test_any_parameters_are_read_back(before: list[str | int], now: list[str]) -> None:
    text = f"x before: {','.join(map(repr, before))} now: {','.join(map(repr, now))} "
    assert before_and_now(text) == (before, now)


# --- Jobs ---


def job(
    number: int,
    needs: Iterable[int] = (),
    *,
    gpu: int = 0,
    rule: str = "sft",
    model: str = "toy",
    record: bool = True,
    expected: int = 600,
    threads: int = 1,
    written_mb: int = 0,
) -> Job:
    return Job(
        id=number,
        rule=rule,
        wildcards={"model": model, "chain": "sft"} if rule == "sft" else {},
        inputs=tuple(f"out{need}" for need in needs),
        outputs=(f"out{number}",),
        resources={"gpu": gpu, "mem_mb": 4000, "expected": expected, "expected_on_cpu": 10 * expected}
        | {"written_mb": written_mb}
        | ({"record": f"results/s/.jobs/{rule}/{model},{number}.json"} if record else {}),
        threads=threads,
        reason="Missing output files: x",
        needs=frozenset(needs),
    )


def record(number: int, inputs: list[str], outputs: list[str]) -> dict[str, Any]:
    return {
        "id": number,
        "rule": "r",
        "wildcards": {},
        "inputs": inputs,
        "outputs": outputs,
        "resources": {},
        "threads": 1,
        "reason": "",
    }


def test_jobs_need_those_that_make_their_inputs_and_stand_after_them() -> None:
    jobs = dryrun.linked([record(3, ["b"], ["c"]), record(2, ["a", "source"], ["b"]), record(1, [], ["a"])])
    assert [each.id for each in jobs] == [1, 2, 3]
    assert [set(each.needs) for each in jobs] == [set(), {1}, {2}]


def test_jobs_that_wait_for_each_other_are_refused() -> None:
    with pytest.raises(ValueError, match="wait for each other"):
        dryrun.linked([record(1, ["b"], ["a"]), record(2, ["a"], ["b"])])


# --- Costs ---

HERE, SLOW = Machine(2, inf), Machine(2, inf, slowness=2.5)


def used(seconds: float) -> Usage:
    return Usage(seconds=seconds, peak_mb=500, gpu=1, cpus=4)


def test_a_job_that_was_run_before_costs_what_it_cost() -> None:
    expected = cost(job(1, gpu=2), {("sft", "toy,1"): used(3600), ("sft", "toy,9"): used(10)}, HERE)
    assert (expected.seconds, expected.mem_mb, expected.gpu_hours, expected.source) == (3600, 500, 2.0, "this job")


def test_a_new_job_costs_what_jobs_like_it_cost() -> None:
    history = {("sft", f"toy,{number}"): used(number * 10) for number in (2, 3, 9)}
    assert cost(job(1), history, HERE).seconds == 30
    assert cost(job(1), history, HERE).source == "jobs like it"


def test_another_models_jobs_say_nothing_about_this_one() -> None:
    expected = cost(job(1, expected=1800), {("sft", "large,2"): used(5), ("dpo", "toy,2"): used(5)}, HERE)
    assert (expected.seconds, expected.source) == (10 * 30 * 60, "estimate")


def test_an_estimate_is_longer_on_a_slower_machine_but_for_what_a_gpu_does() -> None:
    assert cost(job(1, expected=100), {}, SLOW).seconds == 2500
    assert cost(job(1, expected=100, gpu=1), {}, SLOW).seconds == 100
    assert cost(job(1), {("sft", "toy,1"): used(10)}, SLOW).seconds == 10


def test_without_a_gpu_a_job_that_asks_for_one_is_expected_on_the_cpu() -> None:
    expected = cost(job(1, expected=100, gpu=1), {}, Machine(0, 2))
    assert (expected.seconds, expected.gpu_hours) == (1000, 0)
    assert makespan([job(1, gpu=1), job(2, gpu=1)], {1: 10.0, 2: 10.0}, Machine(0, 2)) == 10.0


def test_a_target_costs_nothing() -> None:
    assert cost(job(1, record=False), {}, HERE).seconds == 0


# --- Schedules ---

DIAMOND = [job(1), job(2, [1], gpu=1), job(3, [1], gpu=1), job(4, [2, 3])]
SECONDS = {1: 5.0, 2: 10.0, 3: 7.0, 4: 1.0}


def test_the_critical_path_is_the_longest_chain() -> None:
    assert [each.id for each in critical_path(DIAMOND, SECONDS)] == [1, 2, 4]


@pytest.mark.parametrize(("gpus", "seconds"), [(1, 23.0), (2, 16.0), (8, 16.0)])
def test_the_time_depends_on_the_gpus(gpus: int, seconds: float) -> None:
    assert makespan(DIAMOND, SECONDS, Machine(gpus, inf)) == seconds


def test_a_job_that_wants_more_gpus_than_there_are_is_named() -> None:
    with pytest.raises(UserError, match="sft of toy needs 4 GPUs; --gpus is 2"):
        makespan([job(1, gpu=4)], {1: 1.0}, Machine(2, inf))


@pytest.mark.parametrize(("cores", "seconds"), [(1, 30.0), (2, 20.0), (3, 10.0)])
def test_the_time_depends_on_the_cores(cores: int, seconds: float) -> None:
    alike = [job(number) for number in (1, 2, 3)]
    assert makespan(alike, dict.fromkeys((1, 2, 3), 10.0), Machine(0, cores)) == seconds


def test_a_job_with_more_threads_than_cores_runs_alone() -> None:
    assert makespan([job(1, threads=4), job(2)], {1: 10.0, 2: 5.0}, Machine(0, 2)) == 15.0


@st.composite
def dags(draw: st.DrawFn) -> tuple[list[Job], dict[int, float]]:
    count = draw(st.integers(1, 8))
    jobs = [
        job(
            number, draw(st.sets(st.integers(0, number - 1), max_size=3)) if number else (), gpu=draw(st.integers(0, 2))
        )
        for number in range(count)
    ]
    return jobs, {number: draw(st.floats(0, 100)) for number in range(count)}


@given(dags(), st.integers(2, 4))
def test_a_schedule_lies_between_its_bounds(case: tuple[list[Job], dict[int, float]], gpus: int) -> None:
    """At least the critical path and the GPU work shared out; at most everything one after the other."""
    jobs, seconds = case
    path = sum(seconds[each.id] for each in critical_path(jobs, seconds))
    work = sum(each.gpu * seconds[each.id] for each in jobs) / gpus
    span = makespan(jobs, seconds, Machine(gpus, inf))
    assert max(path, work) <= span * (1 + 1e-9) + 1e-9
    assert span <= sum(seconds.values()) * (1 + 1e-9) + 1e-9


# --- Text, JSON and pictures ---


def test_the_table_marks_what_is_estimated_and_sums_up() -> None:
    costs = {each.id: cost(each, {("sft", "toy,1"): used(60)}, HERE) for each in DIAMOND}
    why = {each.id: "new" for each in DIAMOND}
    text = table.as_text(DIAMOND, why, costs, Machine(2, inf))
    assert "~" not in text
    assert "sft    toy       4       0.03" in text
    text = table.as_text(DIAMOND, why, {each.id: cost(each, {}, HERE) for each in DIAMOND}, Machine(2, 4))
    assert " on 2 GPUs and 4 cores" in text
    assert "~0.33" in text
    assert "~: estimated" in text


def test_nothing_pending_is_said_so() -> None:
    assert table.as_text([], {}, {}, Machine(2, 1)) == "Nothing is pending."
    assert table.as_json([], {}, {}, Machine(2, 1))["jobs"] == []


def test_the_json_holds_every_job_and_the_sums() -> None:
    costs = {each.id: cost(each, {("sft", "toy,1"): used(3600)}, HERE) for each in DIAMOND}
    document = table.as_json(DIAMOND, {each.id: "new" for each in DIAMOND}, costs, Machine(1, inf))
    assert [each["ready"] for each in document["jobs"]] == [True, False, False, False]
    assert document["gpu_hours"] == 2.0
    assert document["cores"] is None
    assert document["makespan_seconds"] == 4 * 3600
    assert len(document["critical_path"]) == 3


def test_the_picture_tells_done_ready_and_blocked() -> None:
    everything = [job(1, rule="base"), job(2, [1], rule="dpo"), job(3, [2], rule="generate"), job(4, [1], rule="plot")]
    pending = [job(2, rule="dpo"), job(3, [2], rule="generate")]
    boxes = {box.rule: box for box in picture.boxes(everything, pending)}
    assert {rule: box.state for rule, box in boxes.items()} == {
        "base": "done",
        "dpo": "ready",
        "generate": "blocked",
        "plot": "done",
    }
    chart = picture.mermaid(list(boxes.values()))
    assert "n0 --> n1" in chart
    assert ":::blocked" in chart
    drawing = ElementTree.fromstring(picture.svg(list(boxes.values())))
    words = " ".join(drawing.itertext())
    assert "dpo" in words
    assert "blocked: 0 of 1 done" in words


def test_a_method_that_stands_twice_in_a_chain_is_drawn() -> None:
    everything = [job(1, rule="sft"), job(2, [1], rule="dpo"), job(3, [2], rule="sft")]
    assert "</svg>" in picture.svg(picture.boxes(everything, []))


# --- Disk ---


def disk_line(written_mb: int, free_mb: float) -> str:
    """The table's line on the disk for two jobs that write so much each; empty without one."""
    jobs, machine = [job(1, written_mb=written_mb), job(2, written_mb=written_mb)], Machine(0, 2, free_mb=free_mb)
    text = table.as_text(jobs, {1: "new", 2: "new"}, costs_of(jobs, {}, machine), machine)
    return next((line for line in text.splitlines() if line.startswith("disk:")), "")


def test_the_table_says_what_the_models_take_and_what_is_free() -> None:
    assert disk_line(16_000, 40_000) == "disk: models of 32.0 GB are added to the results, 40.0 GB are free there"


def test_too_small_a_disk_is_said_with_the_mend_before_anything_trains() -> None:
    assert disk_line(16_000, 20_000).endswith("20.0 GB are free there; free more, or keep the results on another disk")


def test_jobs_that_write_no_model_say_nothing_of_the_disk() -> None:
    assert disk_line(0, 10) == ""


# --- The profile ---


def test_the_packages_profile_is_found_in_any_folder_and_an_own_one_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    options = ["--profile", "slurm", "-n"]
    assert dryrun.with_our_profile(options) == ["--profile", str(ROOT / "slurm"), "-n"]
    (tmp_path / "slurm").mkdir()
    assert dryrun.with_our_profile(options) == options
    assert dryrun.with_our_profile(["--profile", "another"]) == ["--profile", "another"]
    (tmp_path / "slurm").rmdir()
    assert dryrun.with_our_profile(["--profile=slurm", "-n"]) == ["--profile", str(ROOT / "slurm"), "-n"]


@pytest.mark.parametrize("named", [["--snakefile", "S"], ["--snakefile=S"], ["-s", "S"], ["-sS"]])
def test_a_snakefile_that_is_named_is_the_one(named: list[str]) -> None:
    assert dryrun.where(named) == []


# --- Options of Snakemake ---

PASSED_ON = {
    "a target before and after": ("report --json card", ["report", "card"]),
    "options": ("--until sft --json -R dpo --sdm conda", ["--until", "sft", "-R", "dpo", "--sdm", "conda"]),
    "options of both": ("--forcerun sft --config seeds=[1]", ["--forcerun", "sft", "--config", "seeds=[1]"]),
    "all after two dashes": ("--until sft -- --json --config x=1", ["--until", "sft", "--json", "--config", "x=1"]),
    "a working folder": ("-d there --rerun-triggers mtime", ["-d", "there", "--rerun-triggers", "mtime"]),
}


@pytest.mark.parametrize(("words", "options"), PASSED_ON.values(), ids=list(PASSED_ON))
@pytest.mark.parametrize("command", ["pending", "plan --gpu-hours 1"])
def test_what_the_command_does_not_know_is_snakemakes(
    command: str, words: str, options: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a Python in whose place a command stands that says how it was started
    started: list[list[str]] = []

    def start(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        started.append(command)
        return subprocess.CompletedProcess(command, 1, "", "")

    monkeypatch.setattr(subprocess, "run", start)
    words = words.replace("--json ", "") if command != "pending" and " -- " not in words else words
    assert main([*command.split(), *words.split()]) == 2
    assert [word for word in started[0][3:] if word not in dryrun.OPTIONS][: len(options)] == options


@pytest.mark.parametrize("option", ["--configfile", "--configfile=", "--configfiles", "--configf", "-- --configfile"])
def test_a_template_is_refused_however_its_option_is_written(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs = tmp_path / "theirs.yaml"
    theirs.write_text("__use_yte__: true\n")
    words = [f"{option}{theirs}"] if option.endswith("=") else [*option.split(), str(theirs)]
    assert main(["pending", *words]) == 2
    assert "__use_yte__: a template may run any code" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    ["pending --gpus -1", "pending --cores 0", "plan --gpu-hours -1", "plan --gpu-hours nan", "pending --gpus x"],
)
def test_a_number_that_cannot_be_is_refused(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(words.split())
    assert words.split()[1] in capsys.readouterr().err.splitlines()[-1]


def test_a_mistake_in_snakemakes_options_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pending", "--jso"]) == 2
    assert capsys.readouterr().err.count("\n") <= 2
