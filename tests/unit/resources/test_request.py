"""What jobs ask of the cluster: by model and stage, overridden by the configuration, more only after what it mends."""

import json
import struct
from pathlib import Path
from typing import Any

import pytest
from snakemake.iocontainers import Wildcards

from trustdag.config.load import validate
from trustdag.config.study import Study
from trustdag.config.threads import DEFAULT_THREADS, Threads
from trustdag.errors import UserError
from trustdag.jobs import record as job_record
from trustdag.jobs.processes import Process
from trustdag.layout import Results
from trustdag.resources import request, size

PYTHIA = {"source": "hub", "name": "EleutherAI/pythia-1.4b", "revision": "0" * 40}
TOY = {"source": "scratch", "corpus": "crowd", "context": 512}
TRAINED = {"model": "m", "preferences": "crowd", "chain": "sft", "seed": "0"}


def study(base: dict[str, Any] = PYTHIA, stages: dict[str, Any] | None = None, **resources: Any) -> Study:
    """A study of one model with every method; `resources` are the section of that name."""
    return validate(
        {
            "name": "s",
            "models": {"m": {"base": base}},
            "preferences": {"crowd": {"source": "toy"}},
            "stages": stages or {"sft": {}, "reward": {}, "dpo": {}, "ppo": {}},
            "recipes": {"base": [], "sft": ["sft"], "dpo": ["sft", "dpo"], "ppo": ["sft", "reward", "ppo"]},
            "verticals": {"privacy": {"items": {"source": "toy"}}},
            "resources": resources,
        },
        "test.yaml",
    )


def job_resources(rule: str, configured: Study, **wildcards: str) -> request.JobResources:
    return request.job_resources(configured, rule, wildcards or TRAINED)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRUSTDAG_SITE", str(tmp_path / "site.yaml"))
    (tmp_path / "site.yaml").touch()
    return tmp_path


# --- The estimate ---


def test_a_large_model_gets_gpus_and_a_toy_does_not() -> None:
    assert job_resources("sft", study()).gpu >= 1
    assert job_resources("sft", study(TOY)).gpu == 0


def test_each_gpu_comes_with_its_cpus_and_host_memory_for_its_copy() -> None:
    one, four = (job_resources("sft", study(rules={"sft": {"gpu": count}})) for count in (1, 4))
    assert (one.cpus, four.cpus) == (4, 16)
    assert four.mem_mb > one.mem_mb > 4_000


def test_a_stage_that_fits_several_gpus_whole_is_not_sharded_and_one_that_does_not_is() -> None:
    small, large = (dict(PYTHIA, name=f"EleutherAI/pythia-{size}") for size in ("410m", "6.9b"))
    assert job_resources("sft", study(small, rules={"sft": {"gpu": 2}})).accelerate == "ddp"
    assert job_resources("sft", study(large, rules={"sft": {"gpu": 8}})).accelerate == "fsdp"
    assert job_resources("sft", study(small, rules={"sft": {"gpu": 1}})).accelerate == "gpu"


def test_an_attribution_has_a_process_on_each_gpu_and_memory_for_each() -> None:
    policy = {"policy": "m/crowd/sft/seed0"}
    one, four = (job_resources("attribute", study(rules={"attribute": {"gpu": count}}), **policy) for count in (1, 4))
    assert (one.gpu, one.accelerate, four.gpu, four.accelerate) == (1, "gpu", 4, "ddp")
    assert four.cpus == 4 * one.cpus
    assert four.mem_mb > one.mem_mb


def test_an_attribution_in_several_processes_on_the_cpu_has_memory_for_each() -> None:
    policy, several = {"policy": "m/crowd/sft/seed0"}, {"cpus": 4 * DEFAULT_THREADS, "accelerate": "multi_cpu"}
    one = job_resources("attribute", study(TOY), **policy)
    four = job_resources("attribute", study(TOY, rules={"attribute": several}), **policy)
    assert (one.cpus, four.cpus, four.gpu, four.accelerate) == (DEFAULT_THREADS, 4 * DEFAULT_THREADS, 0, "multi_cpu")
    assert four.mem_mb >= 3 * one.mem_mb


def test_several_processes_on_the_cpu_are_refused_to_a_rule_that_has_one() -> None:
    configured = study(rules={"generate": {"accelerate": "multi_cpu"}})
    with pytest.raises(
        UserError, match=r"resources.rules.generate.accelerate: generate runs in one process on the CPU"
    ):
        request.check(configured, ["generate"])


def test_ppo_asks_for_more_time_than_its_updates_would_take_sft() -> None:
    stages = {"sft": {"max_steps": 200}, "reward": {}, "dpo": {}, "ppo": {"updates": 200, "batch_size": 32}}
    configured = study(stages=stages, rules={"sft": {"gpu": 1}, "ppo": {"gpu": 1}})
    assert (
        job_resources("ppo", configured, **TRAINED | {"chain": "sft-reward-ppo"}).runtime
        > job_resources("sft", configured).runtime
    )


def test_lora_and_checkpointing_need_fewer_gpus() -> None:
    large = dict(PYTHIA, name="EleutherAI/pythia-6.9b")
    lean = {"lora": {}, "gradient_checkpointing": True, "device_batch_size": 4}
    whole = job_resources("sft", study(large))
    assert job_resources("sft", study(large, stages={"sft": lean, "reward": {}, "dpo": {}, "ppo": {}})).gpu < whole.gpu


def test_time_is_capped_since_training_goes_on_from_its_checkpoint() -> None:
    assert job_resources("sft", study(max_runtime=30)).runtime == 30


@pytest.mark.parametrize("rule", ["prepare", "items", "score", "statistics", "plot", "report"])
def test_jobs_that_compute_with_no_model_never_hold_a_gpu(rule: str) -> None:
    configured = study(rules={"sft": {"gpu": 8}})
    assert job_resources(rule, configured, policy="m/base", vertical="privacy") == request.CPU_JOB


def test_a_large_model_generates_on_a_gpu() -> None:
    job = job_resources("generate", study(), policy="m/crowd/sft/seed0", vertical="privacy")
    assert job.gpu == 1
    assert job_resources("generate", study(TOY), policy="m/base", vertical="privacy").gpu == 0


def test_a_download_holds_no_gpu() -> None:
    job = job_resources("base", study(), model="m", external="base")
    assert (job.gpu, job.cpus) == (0, 1)


def test_a_job_without_a_gpu_has_as_many_cpus_as_threads() -> None:
    toy = study(TOY)
    assert job_resources("base", toy, model="m", external="base").cpus == toy.threads.default == DEFAULT_THREADS
    named = toy.model_copy(update={"threads": Threads(rules={"base": 7, "score": 3})})
    assert job_resources("base", named, model="m", external="base").cpus == 7
    assert job_resources("score", named, policy="m/base", vertical="privacy").cpus == 3
    assert job_resources("statistics", named).cpus == 1


# --- The configuration ---


def test_a_rule_is_overridden_and_a_model_overrides_the_rule() -> None:
    configured = study(
        rules={"sft": {"runtime": 77, "mem_mb": 9_000}}, models={"m": {"rules": {"sft": {"mem_mb": 12_345}}}}
    )
    assert (job_resources("sft", configured).runtime, job_resources("sft", configured).mem_mb) == (77, 12_345)
    assert job_resources("dpo", configured, **TRAINED | {"chain": "sft-dpo"}).runtime != 77


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"rules": {"sfft": {"gpu": 1}}}, "resources.rules.sfft: no such name; did you mean `sft`"),
        ({"models": {"x": {}}}, "resources.models.x: no such name; models has m"),
        (
            {"models": {"m": {"rules": {"nope": {}}}}},
            "resources.models.m.rules.nope: no such name; the workflow has base, ",
        ),
        ({"rules": {"sft": {"gpu": 64}}}, "sft.gpu: 64 GPUs are more than the 32 that sft can have"),
        ({"rules": {"sft": {"gpu": 8, "nodes": 3}}}, "8 GPUs are not spread evenly over 3 nodes"),
        ({"rules": {"sft": {"gpu": 32, "nodes": 2}}}, "more than the 16 that sft can have"),
        ({"rules": {"sft": {"nodes": 2}}}, r"set resources\.rules\.sft\.gpu"),
        ({"rules": {"generate": {"gpu": 16}}}, r"generate.gpu: 16 GPUs are more than the 8 that generate can have"),
        (
            {"rules": {"generate": {"gpu": 2, "nodes": 2}}},
            "generate runs on one node; only continued, dpo, ppo, reward, sft run on several",
        ),
        ({"rules": {"base": {"gpu": 2}}}, "2 GPUs are more than the 1 that base can have"),
        ({"gpus_per_node": 2, "max_nodes": 1, "models": {"m": {"rules": {"dpo": {"gpu": 4}}}}}, "more than the 2 "),
    ],
)
def test_what_cannot_be_had_is_refused(asked: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        request.check(study(**asked), ["sft", "dpo", "generate", "base"])


def test_a_model_that_fits_nowhere_is_named_with_the_mends() -> None:
    with pytest.raises(UserError, match=r"sft of m .* does not fit 32 GPUs of 80 GB \(max_nodes: 4, gpus_per_node: 8"):
        job_resources("sft", study(dict(PYTHIA, name="big-1000b/x-1000b")))
    with pytest.raises(UserError, match="does not fit 1 GPUs"):
        job_resources("sft", study(dict(PYTHIA, name="EleutherAI/pythia-6.9b"), gpus_per_node=1, max_nodes=1))


def test_a_stage_that_one_node_does_not_hold_is_spread_over_several() -> None:
    large = dict(PYTHIA, name="meta-llama/Llama-2-70b")
    job = job_resources("sft", study(large))
    assert job.gpu > 8
    assert job.nodes == job.gpu // 8
    assert job.accelerate == "fsdp"
    assert job.cpus == 4 * 8, "CPU cores are those of one node"
    alone = job_resources("sft", study(large, gpus_per_node=job.gpu))
    assert (alone.gpu, alone.nodes) == (job.gpu, 1)
    assert job.mem_mb < alone.mem_mb, "memory is that of one node"


@pytest.mark.parametrize(
    ("gpus", "of_node", "nodes"), [(1, 8, 1), (8, 8, 1), (16, 8, 2), (8, 6, 2), (16, 6, 4), (3, 2, 3)]
)
def test_gpus_are_spread_evenly_over_as_few_nodes_as_hold_them(gpus: int, of_node: int, nodes: int) -> None:
    assert request.nodes_for(gpus, of_node) == nodes


def test_a_job_on_several_nodes_is_asked_of_slurm_as_such() -> None:
    asked = evaluated(study(rules={"sft": {"gpu": 16, "cpus": 64}}))
    assert (asked["gpu"], asked["nodes"], asked["tasks"], asked["cpus_per_task"]) == (16, 2, 2, 64)
    assert asked["slurm_extra"] == "--gpus-per-node=8"
    assert asked["mpi"] == "srun"
    alone = evaluated(study(rules={"sft": {"gpu": 8}}))
    assert not {"mpi", "tasks", "tasks_per_gpu", "cpus_per_task", "slurm_extra"} & set(alone)


# --- The model's size ---


def test_a_size_that_nothing_tells_has_to_be_given() -> None:
    nameless = dict(PYTHIA, name="openai-community/gpt2")
    with pytest.raises(UserError, match=r"set resources\.models\.m\.parameters"):
        size.parameters_of(study(nameless), "m")
    assert size.parameters_of(study(nameless, models={"m": {"parameters": 124e6}}), "m") == 124e6


def test_a_folders_size_is_read_from_its_safetensors(folder: Path) -> None:
    header = {"a": {"dtype": "F32", "shape": [3, 5], "data_offsets": [0, 60]}, "__metadata__": {"format": "pt"}}
    header["b"] = {"dtype": "F32", "shape": [7], "data_offsets": [60, 88]}
    text = json.dumps(header).encode()
    (folder / "mine").mkdir()
    (folder / "mine" / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + bytes(88))
    assert size.parameters_of(study({"source": "folder", "path": "mine"}), "m") == 22


# --- What Snakemake evaluates ---


def evaluated(
    configured: Study, rule: str = "sft", attempt: int = 1, limited: bool = True, **wildcards: str
) -> dict[str, Any]:
    """The resources as Snakemake evaluates them, with its own wildcards; it drops what is None."""
    given = Wildcards(fromdict=wildcards or TRAINED)
    functions = request.for_rule(configured, rule, lambda: limited)
    values = {
        name: function(given, attempt) if function.__code__.co_argcount == 2 else function(given)
        for name, function in functions.items()
    }
    return {name: value for name, value in values.items() if value is not None}


def test_a_limit_is_what_a_scheduler_or_the_user_sets() -> None:
    estimated, asked = study(), study(rules={"sft": {"runtime": 99}})
    assert evaluated(estimated)["limit"] == evaluated(estimated)["runtime"]
    assert evaluated(estimated, limited=False)["limit"] == 0
    assert evaluated(asked, limited=False)["limit"] == 99


def failed(kind: job_record.Kind, **given: Any) -> job_record.Failure:
    return job_record.Failure(kind=kind, message="x", **{"mem_mb": 4000, "runtime": 60} | given)


def test_snakemake_gets_every_resource_and_the_threads() -> None:
    configured = study(rules={"sft": {"gpu": 2, "cpus": 6}})
    asked = evaluated(configured)
    assert (asked["gpu"], asked["nodes"], asked["attempt"]) == (2, 1, 1)
    assert asked["record"] == "results/s/.jobs/sft/m,crowd,sft,0.json"
    assert request.threads(configured, "sft")(Wildcards(fromdict=TRAINED)) == 6


def test_running_out_of_memory_asks_for_twice_as_much_even_in_a_later_run() -> None:
    configured = study()
    first = evaluated(configured)
    record = job_record.Record(failures=(failed("memory", mem_mb=first["mem_mb"]),))
    job_record.write(Results.of("s").job_record("sft", TRAINED.values()), record)
    for attempt in (1, 2):
        assert evaluated(configured, attempt=attempt)["mem_mb"] == 2 * first["mem_mb"]
        assert evaluated(configured, attempt=attempt)["runtime"] == first["runtime"]


def test_an_attempt_that_died_without_a_word_short_of_memory_is_followed_by_one_with_more() -> None:
    dead = Process(host=Process.ours().host, pid=2**22 - 1, started="1")
    record = job_record.Record(running=dead, held_mb=3900, mem_mb=4000, runtime=60)
    job_record.write(Results.of("s").job_record("sft", TRAINED.values()), record)
    configured = study(rules={"sft": {"mem_mb": 4000}})
    assert evaluated(configured, attempt=2)["mem_mb"] == 8000
    # What is on record as running when a run begins may be an orphan that still does.
    assert evaluated(configured, attempt=1)["mem_mb"] == 4000


def test_a_bug_asks_for_next_to_nothing_the_second_time() -> None:
    configured = study()
    job_record.write(
        Results.of("s").job_record("sft", TRAINED.values()), job_record.Record(failures=(failed("error"),))
    )
    assert evaluated(configured, attempt=2)["gpu"] == 0
    assert evaluated(configured, attempt=1)["gpu"] >= 1


def test_the_sites_partition_follows_the_gpus(folder: Path) -> None:
    (folder / "site.yaml").write_text("{account: lab, gpu: {partition: a100}, cpu: {partition: short}}")
    assert evaluated(study())["slurm_partition"] == "a100"
    assert evaluated(study(TOY))["slurm_partition"] == "short"
    assert evaluated(study(TOY))["slurm_account"] == "lab"


def test_without_a_sites_file_no_partition_is_asked_for() -> None:
    assert "slurm_partition" not in evaluated(study())


# --- Disk ---


@pytest.mark.parametrize(
    ("rule", "wildcards", "megabytes"),
    [
        ("base", {"model": "m", "external": "base"}, 5_600),
        ("sft", TRAINED, 5_600),
        ("generate", {"policy": "m/base", "vertical": "privacy"}, 0),
        ("prepare", {"preferences": "crowd"}, 0),
    ],
)
def test_a_job_that_makes_a_model_writes_four_bytes_a_parameter(
    rule: str, wildcards: dict[str, str], megabytes: int
) -> None:
    assert size.written_mb(study(), rule, wildcards) == megabytes
