"""Two studies, or two users, that share a prefix: what one has made, the other takes from the cache."""

from pathlib import Path
from typing import Any

import yaml

from tests.support.forks import run_snakemake

from .conftest import ROOT, SMOKE, clean_environment
from .test_reruns import copied

STAGE = "models/tiny/crowd/sft/seed0"


def run(tree: Path, folder: Path, name: str, cache: Path, changes: dict[str, Any]) -> Path:
    """Trains the SFT stage of a study of its own name, in a folder of its own, with a shared cache; its results."""
    folder.mkdir(exist_ok=True)
    study = yaml.safe_load(SMOKE.read_text()) | {"name": name}
    study["stages"]["sft"] = study["stages"]["sft"] | changes
    configfile = folder / f"{name}.yaml"
    configfile.write_text(yaml.safe_dump(study, sort_keys=False))
    command = ["--snakefile", str(tree / "Snakefile"), "--directory", str(folder)]
    command += ["--configfile", str(configfile), "--cores", "2", "--quiet", "rules", "--show-failed-logs"]
    command += [f"results/{name}/{STAGE}/manifest.json", "--cache", "prepare", "base", "sft"]
    done = run_snakemake(command, clean_environment() | {"SNAKEMAKE_OUTPUT_CACHE": str(cache)})
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "results" / name


def was_run(results: Path) -> set[str]:
    """The rules whose commands were started: each leaves a record."""
    return (
        {path.name for path in (results / ".jobs").iterdir() if path.is_dir()}
        if (results / ".jobs").exists()
        else set()
    )


def test_what_studies_share_is_made_once_and_what_differs_is_not_shared(tmp_path: Path) -> None:
    cache, tree = tmp_path / "cache", copied(ROOT, tmp_path / "tree")
    cache.mkdir()
    first = run(tree, tmp_path / "first", "first", cache, {})
    assert was_run(first) == {"prepare", "base", "sft"}

    second = run(tree, tmp_path / "second", "second", cache, {})
    assert was_run(second) == set()
    weights = f"{STAGE}/model/model.safetensors"
    assert (second / weights).read_bytes() == (first / weights).read_bytes()

    third = run(tree, tmp_path / "third", "third", cache, {"learning_rate": 5e-5})
    assert was_run(third) == {"sft"}
    assert (third / weights).read_bytes() != (first / weights).read_bytes()
