"""Bad input gets a clear error, and nothing is lost: every case through the real command line.

Each case says what is wrong, in one or two lines that name the file, key or value; the exit code is not 0, there is no
traceback, and what an earlier run had written is as it was.
"""

import json
import os
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.support.bad_input_cases import CASES, LINE, ROOT, Place
from trustdag.artifacts import sha256_file
from trustdag.cli import main

from .conftest import snakemake

RESULTS = (
    "train.parquet", "validation.parquet", "test.parquet", "corpus.parquet", "card.json",
    "model/config.json", "model/model.safetensors", "manifest.json", "metrics.jsonl",
    "items.parquet", "replies.parquet", "records.parquet", "report.html", "metrics.csv", "differences.csv", "seeds.csv",
)  # fmt: skip
"""The outputs of commands, which exist in the output folder from an earlier run."""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small policy, and what is wrong with others."""
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    from trustdag.artifacts import manifest, write_json
    from trustdag.train.pretrain import train_tokenizer

    root = tmp_path_factory.mktemp("models")
    tokenizer = train_tokenizer(["Hello world, how are you?"] * 50, 300, 64)
    wide, narrow = (
        GPTNeoXForCausalLM(
            GPTNeoXConfig(
                vocab_size=size, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
                max_position_embeddings=64, bos_token_id=0, eos_token_id=0,
            )
        )
        for size in (len(tokenizer), 100)
    )  # fmt: skip
    for name in ("policy", "endless", "speechless", "pickled", "narrow"):
        (narrow if name == "narrow" else wide).save_pretrained(root / name / "model")
        tokenizer.save_pretrained(root / name / "model")
    _remove_end_of_text(root / "endless" / "model")
    for file in (root / "speechless" / "model").glob("tokenizer*"):
        file.unlink()
    (root / "pickled" / "model" / "model.safetensors").rename(root / "pickled" / "model" / "pytorch_model.bin")
    write_json(
        root / "policy" / "manifest.json", manifest(root / "policy" / "model", kind="policy", prompt_format="hh")
    )
    pd.DataFrame({"text": [f"Hello world {number}" for number in range(99)]}).to_parquet(root / "corpus.parquet")
    pd.DataFrame({"item": ["a"], "reply": ["b"]}).to_parquet(root / "replies.parquet")
    return root


def _remove_end_of_text(model: Path) -> None:
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        if (model / name).is_file():
            config = json.loads((model / name).read_text())
            config.pop("eos_token", None)
            (model / name).write_text(json.dumps(config))


@pytest.fixture
def place(tmp_path: Path, models: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A working folder with earlier results, and no hub."""
    import huggingface_hub.constants as constants

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    here = Place(tmp_path, models)
    for name in RESULTS:
        here.file(f"out/{name}", f"an earlier {name}")
    return here


def earlier_results(out: Path) -> dict[str, str]:
    """Every file but hidden ones, in which a stage keeps what a restarted run goes on from."""
    files = (path for path in out.rglob("*") if path.is_file())
    names = {str(path.relative_to(out)): path for path in files}
    return {name: sha256_file(path) for name, path in names.items() if not name.startswith(".")}


@pytest.mark.parametrize("case", CASES)
def test_a_command_names_what_is_wrong_and_nothing_is_lost(
    place: Place, capfd: pytest.CaptureFixture[str], case: str
) -> None:
    arrange, message = CASES[case]
    command = arrange(place)
    before = earlier_results(place.out)
    assert main(command) == 2
    said = [line for line in capfd.readouterr().err.splitlines() if line]
    assert "Traceback" not in "\n".join(said)
    shown = said[next(at for at, line in enumerate(said) if line.startswith("trustdag: ")) :]
    assert 1 <= len(shown) <= 2
    assert re.search(message, " ".join(shown))
    assert earlier_results(place.out) == before


FULL: dict[str, Callable[[Place], list[str]]] = {
    "data": lambda at: at.prepare("".join(lines(500)), test=0, validation=0),
    "base model": lambda at: [
        *("base", "--corpus", str(at.models / "corpus.parquet"), "--out", str(at.out), "--settings"),
        '{"source": "scratch", "corpus": "x", "hidden_size": 64, "context": 16, "batch_size": 2, "steps": 2}',
    ],
    "training": lambda at: at.align("sft", {"batch_size": 4}),
    "items": lambda at: at.items("bias", source="toy", n=2000),
}


def lines(count: int) -> list[str]:
    return [LINE.replace("Hi.", os.urandom(100).hex()) + "\n" for _ in range(count)]


@pytest.mark.parametrize("kind", FULL)
def test_a_full_disk_is_named_and_nothing_is_lost(place: Place, kind: str) -> None:
    # Given earlier results, and a limit that the kernel sets on files as a full disk or a quota does
    command = FULL[kind](place)
    before = earlier_results(place.out)
    # When the command runs again
    done = subprocess.run(
        [sys.executable, "-m", "trustdag", *command],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT / "workflow"), "OMP_NUM_THREADS": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000)),
    )
    # Then it says so
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert re.match("trustdag: no room is left on the disk .*File too large", done.stderr.splitlines()[-1])
    assert earlier_results(place.out) == before


DRY_RUNS: dict[str, tuple[str, Any, list[str], str]] = {
    "an unknown key": ("colour", "red", [], r"study\.yaml: colour: unknown key"),
    "an unknown key on the command line": ("notice", "", ["--config", "sed=3"], r"study\.yaml: sed: unknown key"),
    "a recipe that names a missing stage": ("recipes.x", ["sft", "kto"], [], r"recipes\.x: no stage `kto`"),
    "a missing file": ("preferences.crowd", {"source": "hh", "path": "gone.jsonl"}, [], r"gone\.jsonl: no such file"),
    "a missing model": (
        "models.tiny.base",
        {"source": "folder", "path": "gone/model"},
        [],
        r"gone/model: no such model folder",
    ),
    "results of another configuration": ("name", "taken", [], r"results/taken holds the study of config/other\.yaml"),
}


@pytest.mark.parametrize("case", DRY_RUNS)
def test_snakemake_refuses_before_any_job_runs(place: Place, case: str) -> None:
    key, value, options, message = DRY_RUNS[case]
    study = place.study(key, value)
    place.file("results/taken/.configuration", "config/other.yaml\n")
    before = earlier_results(place.folder / "results")
    done = snakemake(place.folder, "--dry-run", *options, configfile=study)
    said = done.stdout + done.stderr
    assert done.returncode != 0
    assert "Traceback" not in said
    (line,) = [line for line in said.splitlines() if re.search(message, line)]
    assert len(line) < 500
    assert earlier_results(place.folder / "results") == before


def test_a_job_that_fails_on_its_input_says_so_on_the_terminal_and_leaves_other_results(place: Place) -> None:
    # Given a study whose data of one preference set is prepared
    study = place.study("preferences.broken", {"source": "hh", "path": "pairs.jsonl"})
    place.file("pairs.jsonl", LINE[:40] + "\n")
    prepared = "results/smoke/data/crowd/card.json"
    assert snakemake(place.folder, prepared, configfile=study).returncode == 0
    before = earlier_results(place.folder / "results" / "smoke" / "data")
    # When the other's file turns out to be malformed
    done = snakemake(place.folder, prepared, "results/smoke/data/broken/card.json", configfile=study)
    # Then Snakemake fails, the line is named on the terminal, and what was prepared is as it was
    assert done.returncode == 1
    assert re.search(r"^trustdag: pairs\.jsonl:1: not JSON", done.stderr, re.MULTILINE)
    assert "Traceback" not in done.stdout + done.stderr
    assert before
    assert earlier_results(place.folder / "results" / "smoke" / "data") == before


def test_a_job_that_reads_an_edited_configuration_refuses(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a run that began with one configuration, and a job of it that starts when the file says something else
    monkeypatch.setenv("TRUSTDAG_STUDY", "another study's digest")
    study = place.study("notice", "Edited.")
    # When Snakemake reads the workflow for that job alone, as it does on a compute node
    done = snakemake(place.folder, "results/smoke/data/crowd/card.json", "--mode", "subprocess", configfile=study)
    # Then the job fails, and says what to do
    assert done.returncode == 1
    assert "study.yaml: edited since this run began; undo the edit, or end the run and start it again" in done.stderr
    assert not (place.folder / "results" / "smoke" / "data").exists()


def test_a_lock_that_a_crash_left_is_named_with_the_mend(place: Place) -> None:
    study = place.study("notice", "Locked.")
    card = "results/smoke/data/crowd/card.json"
    place.file(".snakemake/locks/0.output.lock", f"{card}\n")
    done = snakemake(place.folder, card, configfile=study)
    assert done.returncode == 1
    assert "Directory cannot be locked" in done.stderr
    assert "--unlock" in done.stderr
    assert snakemake(place.folder, card, "--unlock", configfile=study).returncode == 0
    assert snakemake(place.folder, card, configfile=study).returncode == 0


def test_a_cache_folder_that_cannot_be_used_is_named_before_anything_runs(place: Place) -> None:
    study = place.study("notice", "Cached.")
    environment = {"SNAKEMAKE_OUTPUT_CACHE": str(place.folder / "gone")}
    done = snakemake(
        place.folder, "results/smoke/data/crowd/card.json", "--cache", "prepare", configfile=study, **environment
    )
    assert done.returncode == 1
    assert f"SNAKEMAKE_OUTPUT_CACHE={place.folder / 'gone'}: not a folder that you may write to" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (place.folder / "results").exists()


def test_the_profile_without_slurm_says_what_to_do(place: Place) -> None:
    # Given a machine without Slurm's commands
    for name in ("bash", "sh", "which"):
        (place.folder / "bin").mkdir(exist_ok=True)
        (place.folder / "bin" / name).symlink_to(str(shutil.which(name)))
    study = place.study("notice", "No cluster.")
    done = snakemake(place.folder, "--profile", str(ROOT / "slurm"), configfile=study, PATH=str(place.folder / "bin"))
    assert done.returncode == 1
    assert (
        "no Slurm here (sbatch is not found): run on a login node, or add `--executor local --cores 2`" in done.stderr
    )
    assert "Traceback" not in done.stderr
    assert not (place.folder / "results").exists()
