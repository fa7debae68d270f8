"""A GPT-NeoX of some thousand weights and pairs with a simple rule, built on the spot, for tests of training."""

import os
import time
from pathlib import Path
from typing import Any

import pandas as pd

from tests.support.forks import FORKS
from trustdag.artifacts import write_json
from trustdag.errors import UserError
from trustdag.jsonfiles import read_json, read_jsonl
from trustdag.models.base import Scratch
from trustdag.train.stage import Stage

NAMES = ("Ana", "Bo", "Cal", "Dee", "Eli", "Fay")
THINGS = ("apple", "river", "stone", "garden", "lamp", "kite")


def scratch(**changes: Any) -> Scratch:
    """Settings of the tiny model."""
    values = {
        "corpus": "tiny",
        "vocabulary": 340,
        "hidden_size": 32,
        "layers": 2,
        "heads": 2,
        "context": 64,
        "steps": 30,
        "batch_size": 4,
        "checkpoint_every": 10,
        "log_every": 5,
    }
    return Scratch(**{**values, **changes})


def pairs(count: int) -> pd.DataFrame:
    """Pairs whose chosen reply is polite (it thanks) and whose rejected reply is not."""
    rows = []
    for number in range(count):
        name, thing = NAMES[number % 6], THINGS[number // 6 % 6]
        rows.append(
            {
                "prompt_id": f"{number:016x}",
                "prompt": [{"role": "user", "content": f"Give {name} the {thing}."}],
                "chosen": f"Thanks, {name} has it.",
                "rejected": f"No, {name} has not.",
                "source": f"tiny:{number}",
            }
        )
    return pd.DataFrame(rows)


def transcripts(count: int) -> list[str]:
    """What the tiny base model reads: both kinds of reply."""
    return [
        f"\n\nHuman: {row['prompt'][0]['content']}\n\nAssistant: {row[column]}"
        for row in pairs(count).to_dict("records")
        for column in ("chosen", "rejected")
    ]


def write_data(folder: Path, count: int = 48) -> Path:
    """A folder of canonical preference data and a corpus."""
    folder.mkdir(parents=True, exist_ok=True)
    pairs(count).to_parquet(folder / "train.parquet")
    pairs(18).to_parquet(folder / "validation.parquet")
    pd.DataFrame({"text": transcripts(count)}).to_parquet(folder / "corpus.parquet")
    return folder


def write_base(out: Path, **changes: Any) -> Path:
    """A tiny model with random weights and its manifest; returns the model folder."""
    import torch

    from trustdag.models.folder import write_model
    from trustdag.train.pretrain import build, train_tokenizer

    settings = scratch(**changes)
    tokenizer = train_tokenizer(transcripts(36), settings.vocabulary, settings.context)
    torch.manual_seed(0)
    model = build(settings, tokenizer)
    write_model(out, model, tokenizer, kind="policy", prompt_format="hh", made_by={}, facts={})
    return out / "model"


def stage(method: str, policy: Path, data: Path, out: Path, seed: int = 0) -> Stage:
    """A stage on the tiny model."""
    return Stage(method=method, policy=policy, reward=None, data=data, seed=seed, prompt_format="hh", out=out)


def checkpoint_folder(out: Path) -> Path:
    """The one folder of checkpoints under `out`."""
    (folder,) = (out / ".checkpoints").iterdir()
    return folder


def lines(path: Path, split: str = "train") -> list[dict[str, Any]]:
    """The records of a split, without those that depend on the machine's speed."""
    records = [record for record in read_jsonl(path) if record["split"] == split]
    return [{name: value for name, value in record.items() if name != "tokens_per_second"} for record in records]


def weights(out: Path) -> str:
    """The digest of a finished model's weights."""
    return str(read_json(out / "manifest.json")["files"]["model.safetensors"])


def edit_json(path: Path, **changes: Any) -> None:
    """Changes keys of a JSON file; None removes one."""
    content = {**read_json(path), **changes}
    write_json(path, {name: value for name, value in content.items() if value is not None})


# --- Runs in a process of their own, to be killed ---


def start(function: Any, *arguments: Any) -> Any:
    """Runs `function(*arguments)` in a process of its own."""
    process = FORKS.Process(target=_run, args=(function, *arguments))
    process.start()
    return process


def _run(function: Any, *arguments: Any) -> None:
    try:
        function(*arguments)
    except UserError as error:
        raise SystemExit(2) from error


def kill_at(process: Any, out: Path, step: int, number: int) -> None:
    """Sends a signal once the run that writes to `out` has logged `step`."""
    deadline = time.monotonic() + 300
    while not has_logged(out, step):
        assert process.is_alive(), f"the run ended before step {step}"
        assert time.monotonic() < deadline, f"the run did not reach step {step}"
        time.sleep(0.002)
    os.kill(process.pid, number)
    process.join(60)


def has_logged(out: Path, step: int) -> bool:
    """Whether the run that writes to `out` has logged `step` or one of the four after it."""
    return any(
        f'"step": {number},' in metrics.read_text()
        for metrics in out.glob(".checkpoints/*/metrics.jsonl")
        for number in range(step, step + 5)
    )
