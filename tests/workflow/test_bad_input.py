"""Bad input gets a clear error, and nothing is lost: every case through the real command line.

Each case says what is wrong, in one or two lines that name the file, key or value; the exit code is not 0, there is no
traceback, and what an earlier run had written is as it was.
"""

import gzip
import json
import os
import re
import resource
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from trustdag.artifacts import sha256_file
from trustdag.cli import main

ROOT = Path(__file__).parents[2]
SMOKE = yaml.safe_load((ROOT / "config" / "smoke.yaml").read_text(encoding="utf-8"))
LINE = json.dumps({"chosen": "\n\nHuman: Hi.\n\nAssistant: Yes.", "rejected": "\n\nHuman: Hi.\n\nAssistant: No."})
REVISION = "0" * 40
RESULTS = (
    "train.parquet", "validation.parquet", "test.parquet", "corpus.parquet", "card.json",
    "model/config.json", "model/model.safetensors", "manifest.json", "metrics.jsonl",
    "items.parquet", "replies.parquet", "records.parquet", "report.html", "metrics.csv", "differences.csv", "seeds.csv",
)  # fmt: skip
"""What commands write: all of it stands in the output folder from an earlier run."""


@dataclass(frozen=True)
class Place:
    """Where a case happens: its files, the output folder with earlier results, and small models."""

    folder: Path
    models: Path

    @property
    def out(self) -> Path:
        return self.folder / "out"

    def file(self, name: str, content: str | bytes) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def study(self, key: str, value: Any) -> Path:
        """The smoke study with one key, whose path is dotted, set to something else."""
        study = json.loads(json.dumps(SMOKE))
        *parents, last = key.split(".")
        section = study
        for parent in parents:
            section = section.setdefault(parent, {})
        section[last] = value
        return self.file("study.yaml", yaml.safe_dump(study))

    def prepare(self, content: str | bytes = b"", name: str = "pairs.jsonl", **settings: Any) -> list[str]:
        path = self.file(name, content)
        return self.prepare_with(json.dumps({"source": "hh", "path": str(path)} | settings))

    def prepare_with(self, settings: str) -> list[str]:
        return ["prepare", "--settings", settings, "--out", str(self.out)]

    def base(self, model: str, *options: str) -> list[str]:
        settings = json.dumps({"source": "folder", "path": str(self.models / model)})
        return ["base", "--settings", settings, "--out", str(self.out), *options]

    def align(self, method: str, settings: dict[str, Any], *options: str, policy: str = "policy") -> list[str]:
        pairs = [{"role": "user", "content": "Hi."}], "Yes.", "No.", "x"
        for split in ("train", "validation"):
            frame = pd.DataFrame(
                [("0" * 16, *pairs)] * 4, columns=["prompt_id", "prompt", "chosen", "rejected", "source"]
            )
            frame.to_parquet(self.folder / f"{split}.parquet")
        return [
            "align", method, "--policy", str(self.models / policy / "model"), "--data", str(self.folder),
            "--settings", json.dumps({"batch_size": 4, "max_length": 32} | settings), "--out", str(self.out), *options,
        ]  # fmt: skip

    def cut_off_pairs(self) -> Path:
        for split in ("train", "validation"):
            self.file(f"cut/{split}.parquet", b"PAR1....")
        return self.folder / "cut"

    def generate(self, items: str, *options: str, policy: str = "policy") -> list[str]:
        model = str(self.models / policy / "model")
        return [
            "generate",
            "bias",
            "--items",
            items,
            "--model",
            model,
            "--out",
            str(self.out / "replies.parquet"),
            *options,
        ]

    def items(self, vertical: str, **settings: Any) -> list[str]:
        written = ["--out", str(self.out / "items.parquet"), "--card", str(self.out / "card.json")]
        return ["items", vertical, "--settings", json.dumps(settings), *written]

    def statistics(self, study: str, records: str) -> list[str]:
        return ["statistics", "--study", study, "--records-root", records, "--out", str(self.out)]


Case = tuple[Callable[[Place], list[str]], str]

STUDIES: dict[str, Case] = {
    "no such study": (lambda at: ["check", "gone.yaml"], r"gone\.yaml: No such file"),
    "a study that is no YAML": (lambda at: ["check", str(at.file("a.yaml", "name: ["))], r"a\.yaml: not YAML"),
    "a study that is a list": (lambda at: ["check", str(at.file("a.yaml", "- 1"))], r"a\.yaml: a study is a mapping"),
    "an unknown key": (lambda at: ["check", str(at.study("colour", "red"))], r"study\.yaml: colour: unknown key"),
    "a misspelt key": (
        lambda at: ["check", str(at.study("stages.sft.learning_rat", 1))],
        r"study\.yaml: stages\.sft\.learning_rat: unknown key",
    ),
    "a wrong type": (
        lambda at: ["check", str(at.study("stages.sft.batch_size", "many"))],
        r"study\.yaml: .*batch_size: .*integer.*'many'",
    ),
    "a value out of range": (
        lambda at: ["check", str(at.study("stages.dpo.beta", -1))],
        r"stages\.dpo\.beta: .*greater than.*-1",
    ),
    "a recipe that names a missing stage": (
        lambda at: ["check", str(at.study("recipes.kto", ["sft", "kto"]))],
        r"recipes\.kto: no stage `kto`; stages has dpo, ppo, reward, sft",
    ),
    "a recipe without its reward model": (
        lambda at: ["check", str(at.study("recipes.ppo", ["sft", "ppo"]))],
        r"recipes\.ppo: stage `ppo` needs a reward model",
    ),
    "an unknown source": (
        lambda at: ["check", str(at.study("preferences.crowd.source", "reddit"))],
        r"preferences\.crowd\.source: Input should be one of 'hh', 'toy', 'trl' \(got 'reddit'\)",
    ),
    "a revision that is no commit": (
        lambda at: ["check", str(at.study("preferences.crowd", {"source": "hh", "revision": "main"}))],
        r"preferences\.crowd\.revision: .*main",
    ),
    "no data_root": (
        lambda at: ["check", str(at.study("preferences.crowd", {"source": "hh", "path": "{data_root}/a.jsonl"}))],
        r"preferences\.crowd\.path: .*add `--config data_root=FOLDER`",
    ),
}

DATA: dict[str, Case] = {
    "settings that are no JSON": (lambda at: at.prepare_with("{source: [}"), "--settings: not YAML or JSON"),
    "settings without a source": (lambda at: at.prepare_with("{}"), "--settings: source: Field required"),
    "a source that does not exist": (
        lambda at: at.prepare_with('{"source": "hub"}'),
        "no source `hub`; choose one of hh",
    ),
    "a misspelt setting": (lambda at: at.prepare(LINE, limitt=3), "--settings: limitt: unknown key"),
    "a missing file": (
        lambda at: at.prepare_with('{"source": "hh", "path": "gone.jsonl"}'),
        r"gone\.jsonl: no such file or folder; correct `path`",
    ),
    "a folder without data": (
        lambda at: at.prepare(name="data/a.txt", path=str(at.folder / "data")),
        "data: the folder holds no",
    ),
    "an empty data set": (lambda at: at.prepare(b""), r"pairs\.jsonl: no pair is left to train on: 0 records"),
    "only pairs that say nothing": (
        lambda at: at.prepare(f"{LINE.replace('No.', 'Yes.')}\n" * 9),
        r"pairs\.jsonl: no pair is left .* 9 identical",
    ),
    "a malformed line": (
        lambda at: at.prepare(f"{LINE}\n{LINE[:40]}\n{LINE}\n"),
        r"pairs\.jsonl:2: not JSON.*max_malformed",
    ),
    "a truncated last line": (
        lambda at: at.prepare(f"{LINE}\n{LINE[:40]}"),
        r"pairs\.jsonl:2: the file ends within this line",
    ),
    "a truncated gzip file": (
        lambda at: at.prepare(gzip.compress(f"{LINE}\n".encode() * 9)[:-12], "pairs.jsonl.gz"),
        r"pairs\.jsonl\.gz: the gzip file is damaged or cut off after line \d+; fetch it again",
    ),
    "a truncated Parquet file": (
        lambda at: at.prepare(b"PAR1....", "pairs.parquet", source="trl"),
        r"pairs\.parquet: not a whole Parquet file; fetch it again",
    ),
    "another format": (
        lambda at: at.prepare('{"prompt": "a", "chosen": "b", "rejected": "c"}\n' * 9),
        r"pairs\.jsonl:1: no .*Assistant:` turn .*choose another `source`",
    ),
    "bytes that are not UTF-8": (
        lambda at: at.prepare(b'{"chosen": "\xe9"}\n'),
        r"pairs\.jsonl:1: not UTF-8: byte 0xe9",
    ),
    "no pair for a split": (lambda at: at.prepare(f"{LINE}\n"), "no pair falls into the .* split.*give more data"),
    "a data set that is out of reach": (
        lambda at: at.prepare_with('{"source": "hh"}'),
        "hub cannot be reached for .* of the data set Anthropic/hh-rlhf; .*`path: ",
    ),
}

MODELS: dict[str, Case] = {
    "a missing model": (lambda at: at.base("gone"), "gone: no such model folder"),
    "a model that is out of reach": (
        lambda at: [
            "base",
            "--settings",
            json.dumps({"source": "hub", "name": "some/model", "revision": REVISION}),
            "--out",
            str(at.out),
        ],
        f"some/model at {REVISION}: cannot be fetched from the hub .*`source: folder`",
    ),
    "a tokenizer without end-of-text token": (
        lambda at: at.base("endless/model"),
        "the tokenizer has no end-of-text token; name one",
    ),
    "no tokenizer": (lambda at: at.base("speechless/model"), r"speechless/model: no tokenizer \(tokenizer\.json or "),
    "pickled weights": (lambda at: at.base("pickled/model"), r"pytorch_model\.bin is a pickle"),
    "a vocabulary that the model does not embed": (lambda at: at.base("narrow/model"), "they do not belong together"),
    "no chat template": (lambda at: at.base("policy/model", "--format", "chat"), "no chat template"),
    "a model from scratch without its corpus": (
        lambda at: ["base", "--settings", '{"source": "scratch", "corpus": "x"}', "--out", str(at.out)],
        "--corpus: a model trained from scratch needs one",
    ),
    "a corpus that is not there": (
        lambda at: [
            "base",
            "--settings",
            '{"source": "scratch", "corpus": "x"}',
            "--corpus",
            "gone.parquet",
            "--out",
            str(at.out),
        ],
        r"gone\.parquet: no such corpus",
    ),
    "a corpus that is cut off": (
        lambda at: [
            *("base", "--settings", '{"source": "scratch", "corpus": "x"}', "--out", str(at.out)),
            *("--corpus", str(at.file("corpus.parquet", b"PAR1...."))),
        ],
        r"corpus\.parquet: not a Parquet file of texts, or cut short",
    ),
    "a corpus that is too small": (
        lambda at: [
            *("base", "--settings", '{"source": "scratch", "corpus": "x"}', "--out", str(at.out)),
            *("--corpus", str(at.models / "corpus.parquet")),
        ],
        r"corpus\.parquet: holds \d sequences of 256 tokens, fewer than batch_size 16; lower",
    ),
    "training data that is cut off": (
        lambda at: [*at.align("sft", {}), *("--data", str(at.cut_off_pairs()))],
        r"cut/train\.parquet: not a Parquet file of preference pairs, or cut short",
    ),
    "prompts that leave no room for a reply": (
        lambda at: at.align("ppo", {"max_new_tokens": 31}, "--reward", str(at.models / "policy" / "model")),
        r"train\.parquet: none of 4 prompts leaves room for 31 new tokens",
    ),
    "texts longer than the model's context": (
        lambda at: at.align("sft", {"max_length": 4096}),
        "max_length: 4096 tokens do not fit the context of .*which is 64; lower max_length",
    ),
    "pairs that do not fit": (
        lambda at: at.align("sft", {"max_length": 8}),
        r"train\.parquet: none of 4 pairs fits max_length 8",
    ),
    "no reward model": (lambda at: at.align("ppo", {}), "--reward: ppo needs a reward model"),
    "a policy in the reward model's place": (
        lambda at: at.align("ppo", {"max_new_tokens": 8}, "--reward", str(at.models / "policy" / "model")),
        "holds a policy model .* where a reward model is needed",
    ),
    "training data that is not there": (
        lambda at: [*at.align("dpo", {}), "--data", str(at.folder / "gone")],
        r"gone/train\.parquet: [Nn]o such",
    ),
    "a batch that does not divide": (
        lambda at: at.align("sft", {"batch_size": 4, "device_batch_size": 3}),
        "device_batch_size: 3 does not divide",
    ),
    "a misspelt training setting": (lambda at: at.align("dpo", {"bta": 1}), "--settings: bta: unknown key"),
    "items that are not there": (lambda at: at.generate("gone.parquet"), r"gone\.parquet: no such file"),
    "items that are cut off": (
        lambda at: at.generate(str(at.file("items.parquet", b"PAR1...."))),
        r"items\.parquet: not a Parquet file of items, or cut short",
    ),
    "replies in the items' place": (
        lambda at: at.generate(str(at.models / "replies.parquet")),
        r"replies\.parquet: no column",
    ),
}

CELLS = json.dumps(
    {"study": "x", "policies": [{"policy": "a/base", "model": "a", "recipe": "base"}], "verticals": ["bias"]}
)

RESULTS_CASES: dict[str, Case] = {
    "a vertical that does not exist": (lambda at: at.items("kindness"), "kindness: no such vertical; there are bias, "),
    "items without a source": (lambda at: at.items("bias"), "--settings: source: Field required"),
    "items of an unknown source": (
        lambda at: at.items("bias", source="web"),
        "source: Input should be one of 'toy', .*'web'",
    ),
    "items with a misspelt setting": (
        lambda at: at.items("bias", source="toy", wrld=1),
        "--settings: wrld: unknown key",
    ),
    "items from a file that is not there": (
        lambda at: at.items("bias", source="file", paths=["gone.csv"]),
        r"gone\.csv: no such file",
    ),
    "replies that are not there": (
        lambda at: [
            "score",
            "bias",
            "--items",
            "gone.parquet",
            "--replies",
            "gone.parquet",
            "--out",
            str(at.out / "records.parquet"),
        ],
        r"gone\.parquet: no such file",
    ),
    "records that are not there": (lambda at: at.statistics(CELLS, "gone"), r"gone/a/base/bias\.parquet: no such file"),
    "records that are cut off": (
        lambda at: at.statistics(CELLS, str(at.file("records/a/base/bias.parquet", b"PAR1....").parents[2])),
        r"bias\.parquet: not a Parquet file of records .*score again",
    ),
    "a study that is not there": (lambda at: at.statistics("gone.json", "records"), r"gone\.json: No such file"),
    "a report without statistics": (
        lambda at: [
            "report",
            "--study",
            CELLS,
            "--results",
            "gone",
            "--out",
            str(at.out / "report.html"),
            "--tables",
            str(at.out),
        ],
        r"gone/statistics/metrics\.csv: [Nn]o such file",
    ),
}

GROUPS = {"study": STUDIES, "data": DATA, "model": MODELS, "results": RESULTS_CASES}
CASES = {f"{group}: {name}": case for group, cases in GROUPS.items() for name, case in cases.items()}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small policy, and what is wrong with others."""
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    from trustdag.artifacts import manifest, write_json
    from trustdag.models.scratch import train_tokenizer

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
    write_json(root / "policy" / "manifest.json", manifest(root / "policy" / "model", kind="policy", format="hh"))
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
    "results of another configuration": ("name", "taken", [], r"results/taken holds the study of config/other\.yaml"),
}


def snakemake(place: Place, study: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Runs Snakemake in the case's folder; what it says is in `stdout`, as a dry run says it there."""
    command = [
        *(sys.executable, "-m", "snakemake", *options, "--snakefile", str(ROOT / "Snakefile")),
        *("--directory", str(place.folder), "--cores", "1", "--configfile", str(study)),
    ]
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    return subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, env=environment
    )


@pytest.mark.parametrize("case", DRY_RUNS)
def test_snakemake_refuses_before_any_job_runs(place: Place, case: str) -> None:
    key, value, options, message = DRY_RUNS[case]
    study = place.study(key, value)
    place.file("results/taken/.configuration", "config/other.yaml\n")
    before = earlier_results(place.folder / "results")
    done = snakemake(place, study, "--dry-run", *options)
    assert done.returncode != 0
    assert "Traceback" not in done.stdout
    (said,) = [line for line in done.stdout.splitlines() if re.search(message, line)]
    assert len(said) < 500
    assert earlier_results(place.folder / "results") == before


def test_a_job_that_fails_on_its_input_says_so_on_the_terminal_and_leaves_other_results(place: Place) -> None:
    # Given a study whose data of one preference set is prepared
    study = place.study("preferences.broken", {"source": "hh", "path": "pairs.jsonl"})
    place.file("pairs.jsonl", LINE[:40] + "\n")
    prepared = "results/smoke/data/crowd/card.json"
    assert snakemake(place, study, prepared).returncode == 0
    before = earlier_results(place.folder / "results" / "smoke" / "data")
    # When the other's file turns out to be malformed
    done = snakemake(place, study, prepared, "results/smoke/data/broken/card.json")
    # Then Snakemake fails, the line is named on the terminal, and what was prepared is as it was
    assert done.returncode == 1
    assert re.search(r"^trustdag: pairs\.jsonl:1: not JSON", done.stdout, re.MULTILINE)
    assert "Traceback" not in done.stdout
    assert before
    assert earlier_results(place.folder / "results" / "smoke" / "data") == before
