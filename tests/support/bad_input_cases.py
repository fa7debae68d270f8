"""What is wrong, in every command's input: the command lines of test_bad_input.py and what each must say."""

import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

ROOT = Path(__file__).parents[2]
SMOKE = yaml.safe_load((ROOT / "config" / "smoke.yaml").read_text(encoding="utf-8"))
LINE = json.dumps({"chosen": "\n\nHuman: Hi.\n\nAssistant: Yes.", "rejected": "\n\nHuman: Hi.\n\nAssistant: No."})
REVISION = "0" * 40


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
        return ["statistics", "--design", study, "--records-root", records, "--out", str(self.out)]


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
        r"preferences\.crowd\.source: Input should be one of 'hh', 'toy', 'trl', 'pruned', 'subset' \(got 'reddit'\)",
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
        "data set Anthropic/hh-rlhf, .* cannot be fetched from the hub .*; without a network, .*`path: ",
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
    "no chat template": (lambda at: at.base("policy/model", "--prompt-format", "chat"), "no chat template"),
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
        r"corpus\.parquet: not a Parquet file of texts, cut short or damaged",
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
        r"cut/train\.parquet: not a Parquet file of preference pairs, cut short or damaged",
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
    "no reward model": (lambda at: at.align("ppo", {"max_new_tokens": 7}), "--reward: ppo needs a reward model"),
    "a policy in the reward model's place": (
        lambda at: at.align("ppo", {"max_new_tokens": 7}, "--reward", str(at.models / "policy" / "model")),
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
        r"items\.parquet: not a Parquet file of items, cut short or damaged",
    ),
    "replies in the items' place": (
        lambda at: at.generate(str(at.models / "replies.parquet")),
        r"replies\.parquet: no column",
    ),
}

CELLS = json.dumps(
    {"study": "x", "policies": [{"id": "a/base", "model": "a", "recipe": "base"}], "verticals": ["bias"]}
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
        r"bias\.parquet: not a Parquet file of records, cut short or damaged .*delete it",
    ),
    "a study that is not there": (lambda at: at.statistics("gone.json", "records"), r"gone\.json: No such file"),
    "a report without statistics": (
        lambda at: [
            "report",
            "--design",
            CELLS,
            "--results",
            "gone",
            "--out",
            str(at.out / "report.html"),
            "--tables",
            str(at.out),
        ],
        r"gone/replies/.*No such file",
    ),
}

GROUPS = {"study": STUDIES, "data": DATA, "model": MODELS, "results": RESULTS_CASES}
CASES = {f"{group}: {name}": case for group, cases in GROUPS.items() for name, case in cases.items()}
