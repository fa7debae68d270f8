"""The whole study by Snakemake: shipped configurations plan, the smoke study ends complete, nothing runs twice."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pandas as pd
import pytest
import yaml

from .conftest import ROOT, SMOKE, arguments_for, clean_environment, jobs, snakemake

BENCHMARKS = (
    "preference/pairs.jsonl",
    "toxicity/toxic.jsonl.gz",
    "toxicity/nontoxic.jsonl.gz",
    "bias/user_prompts.csv.gz",
    "ethics/cm_test.csv.gz",
    "truthfulness/truth_mc.json.gz",
)
POLICIES = ("tiny/base", "tiny/crowd/sft/seed0", "tiny/crowd/sft-dpo/seed0", "tiny/crowd/sft-reward-ppo/seed0")
VERTICALS = ("toxicity", "bias", "ethics", "truthfulness", "privacy")
STUDIES = sorted(path for path in (ROOT / "config").glob("*.yaml"))


@pytest.fixture
def data_root(tmp_path: Path) -> Path:
    """A folder with files where the shipped studies look for them; a dry run does not open them."""
    for name in BENCHMARKS:
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / name).touch()
    return tmp_path / "data"


@pytest.mark.parametrize(
    "policies", [POLICIES[:2], pytest.param(POLICIES, marks=pytest.mark.slow)], ids=["base and SFT", "all stages"]
)
def test_jobs_in_new_processes_make_what_forks_of_a_warm_one_make(
    policies: tuple[str, ...], finished: Path, tmp_path: Path
) -> None:
    # Given the finished study, whose jobs were forks of a process that had imported everything
    models = [f"results/smoke/models/{policy}/digest.txt" for policy in policies]
    made = [*models, "results/smoke/records/tiny/base/privacy.parquet"]
    # When the very command that a user gives runs the stages, each in a Python of its own
    command = [sys.executable, "-m", "snakemake", *arguments_for(tmp_path, *made, "--quiet", "rules")]
    done = subprocess.run(command, capture_output=True, text=True, env=clean_environment(), check=False)
    # Then it makes the same
    assert done.returncode == 0, done.stdout + done.stderr
    assert [(tmp_path / name).read_bytes() for name in made] == [(finished / name).read_bytes() for name in made]


@pytest.mark.parametrize("configfile", STUDIES, ids=lambda path: path.stem)
def test_every_shipped_study_is_planned_offline(configfile: Path, tmp_path: Path, data_root: Path) -> None:
    run = snakemake(tmp_path, "-n", "-q", "rules", "--config", f"data_root={data_root}", configfile=configfile)
    assert jobs(run)["report"] == 1


@pytest.mark.parametrize(
    ("target", "planned"),
    [
        ("smoke", {"report": 1, "ppo": 1, "score": 20, "plot": 6}),
        ("tiny", {"report": 0, "ppo": 1, "score": 20, "plot": 0}),
        ("privacy", {"report": 0, "ppo": 1, "score": 4, "items": 1}),
        ("results/smoke/records/tiny/crowd/sft/seed0/bias.parquet", {"sft": 1, "ppo": 0, "score": 1}),
    ],
)
def test_targets_go_by_name_or_by_file(target: str, planned: dict[str, int], tmp_path: Path) -> None:
    counted = jobs(snakemake(tmp_path, target, "-n", "-q", "rules"))
    assert {rule: counted.get(rule, 0) for rule in planned} == planned


def test_the_study_ends_complete(finished: Path) -> None:
    results = finished / "results" / "smoke"
    assert (results / "report.html").stat().st_size > 10_000
    for policy in POLICIES:
        for vertical in VERTICALS:
            replies = pd.read_parquet(results / "replies" / policy / f"{vertical}.parquet")
            records = pd.read_parquet(results / "records" / policy / f"{vertical}.parquet")
            assert len(replies) > 0
            assert len(records) > 0
    metrics = pd.read_csv(results / "statistics" / "metrics.csv")
    assert set(metrics["vertical"]) == set(VERTICALS)
    assert metrics.groupby("vertical")["headline"].sum().min() >= len(POLICIES)


def test_every_model_says_what_made_it(finished: Path) -> None:
    for policy in (*POLICIES, "tiny/crowd/sft-reward/seed0"):
        folder = finished / "results" / "smoke" / "models" / policy
        manifest = json.loads((folder / "manifest.json").read_text())
        assert manifest["kind"] == ("reward" if policy.endswith("reward/seed0") else "policy")
        assert {"sha256", "files", "parameters", "prompt_format", "made_by"} <= manifest.keys()
        assert (folder / "model" / "model.safetensors").exists()
        assert (folder / "model" / "README.md").exists()
        assert not list(folder.rglob("*.bin"))


def test_no_checkpoint_is_left_when_a_stage_is_done(finished: Path) -> None:
    left = [path for path in finished.rglob(".checkpoints/*/*") if path.is_file()]
    assert left == []


def test_a_second_run_has_nothing_to_do(finished: Path) -> None:
    assert jobs(snakemake(finished, "-n")) == {}


def test_snakemakes_own_report_builds(study: Path) -> None:
    run = snakemake(study, "--report", "snakemake-report.zip")
    assert run.returncode == 0, run.stderr
    names = {Path(name).name for name in zipfile.ZipFile(study / "snakemake-report.zip").namelist()}
    assert {"report.html", "metrics.csv", "changes.csv", "training.svg"} <= names


def test_existing_models_are_evaluated_without_training(finished: Path, tmp_path: Path) -> None:
    config = yaml.safe_load(SMOKE.read_text())
    models = finished / "results" / "smoke" / "models" / "tiny"
    config |= {"name": "given", "recipes": {"base": [], "sft": ["sft"]}}
    config["models"] = {
        "tiny": {
            "base": {"source": "folder", "path": str(models / "base" / "model")},
            "checkpoints": {"sft": {"source": "folder", "path": str(models / "crowd" / "sft" / "seed0" / "model")}},
        }
    }
    (tmp_path / "given.yaml").write_text(yaml.safe_dump(config))
    planned = jobs(snakemake(tmp_path, "-n", "-q", "rules", configfile=tmp_path / "given.yaml"))
    assert not {"prepare", "sft", "reward", "dpo", "ppo"} & planned.keys()
    assert planned["base"] == 2
    run = snakemake(tmp_path, "bias", "--quiet", "rules", configfile=tmp_path / "given.yaml")
    assert run.returncode == 0, run.stderr
    mine = pd.read_parquet(tmp_path / "results" / "given" / "replies" / "tiny" / "sft" / "bias.parquet")
    theirs = pd.read_parquet(models.parents[1] / "replies" / "tiny" / "crowd" / "sft" / "seed0" / "bias.parquet")
    pd.testing.assert_frame_equal(mine, theirs)


def test_parsing_the_workflow_imports_no_heavy_library() -> None:
    heavy = ("torch", "transformers", "trl", "datasets", "peft", "accelerate", "matplotlib", "pandas", "sklearn")
    code = f"import sys, trustdag.dag, trustdag.resources.request; print([m for m in {heavy} if m in sys.modules])"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT / "workflow", capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "[]"


def test_files_of_the_user_may_have_spaces_in_their_paths(tmp_path: Path) -> None:
    # Given pairs and items in a folder whose name has a space, a quote and a letter that is not ASCII
    mine = tmp_path / "my dätä's"
    mine.mkdir()
    pairs = [{"prompt": f"{n}?", "chosen": "yes", "rejected": "no"} for n in range(90)]
    (mine / "my pairs.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
    (mine / "deeds.csv").write_text("label,input,is_short\n0,I helped,True\n1,I stole,True\n")
    config = yaml.safe_load(SMOKE.read_text())
    config["preferences"] = {"crowd": {"source": "trl", "path": str(mine / "my pairs.jsonl")}}
    config["verticals"] = {"ethics": {"items": {"source": "file", "paths": [str(mine / "deeds.csv")]}}}
    (mine / "a study.yaml").write_text(yaml.safe_dump(config))
    # When its data and items are prepared
    made = ["results/smoke/data/crowd/digest.txt", "results/smoke/items/ethics.parquet"]
    run = snakemake(tmp_path, *made, "--quiet", "rules", configfile=mine / "a study.yaml")
    # Then both are there
    assert run.returncode == 0, run.stdout + run.stderr
    assert all((tmp_path / path).is_file() for path in made)


def test_a_run_of_another_target_does_not_repeat_the_answer_of_an_older_page(study: Path) -> None:
    # Given a finished study, one of whose records is missing
    records = study / "results" / "smoke" / "records" / "tiny" / "base" / "ethics.parquet"
    records.unlink()
    # When this vertical alone is run
    run = snakemake(study, "ethics", "--quiet", "rules")
    # Then it is there again, and nothing is said of the page, which may be older than what it would show
    assert run.returncode == 0, run.stderr
    assert records.is_file()
    assert "Page of" not in run.stdout + run.stderr
