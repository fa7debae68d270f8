"""Tokens per second of SFT, the reward model and DPO against a bare PyTorch loop on the same model and batches.

    python benchmarks/training.py [--hidden 256 --layers 6 --length 96 --batch 16 --steps 20 --rounds 3] [--json FILE]

Both sides take turns, `rounds` times, in one process; the medians are compared. The bare loop gets its batches as
ready tensors and logs nothing: it is the most that the machine gives. Ours is the whole stage as `trustdag align` runs
it, from its first logged line to its last.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch.nn.functional import cross_entropy, logsigmoid

from trustdag.align import methods
from trustdag.jsonfiles import read_jsonl
from trustdag.models.base import Scratch
from trustdag.models.folder import write_model
from trustdag.models.load import load_policy, load_tokenizer, new_reward
from trustdag.models.logging_setup import hide_library_messages
from trustdag.train.pairs import EncodedReplies, encode
from trustdag.train.pretrain import build, train_tokenizer
from trustdag.train.stage import Stage

Loss = Callable[[Any, dict[str, torch.Tensor]], torch.Tensor]


def main() -> None:
    """Prints a table, and writes it as JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in {"hidden": 256, "layers": 6, "length": 96, "batch": 16, "steps": 20, "rounds": 3}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    hide_library_messages()
    with tempfile.TemporaryDirectory() as folder:
        rates = measure(Path(folder), arguments)
    print(f"{'':8}{'ours':>12}{'bare loop':>12}{'ratio':>8}   tokens/s, median of {arguments.rounds}")
    for method, row in rates.items():
        print(f"{method:8}{row['ours']:12.0f}{row['bare']:12.0f}{row['ratio']:8.2f}")
    if arguments.json:
        arguments.json.write_text(json.dumps(rates, indent=2) + "\n", encoding="utf-8")


def measure(folder: Path, arguments: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Tokens per second of both sides for each method, and their ratio."""
    data, policy = prepare(folder, arguments)
    methods = {}
    for method in ("sft", "reward", "dpo"):
        stage = Stage(method, policy, None, data, 0, "hh", folder / method)
        rates: dict[str, list[float]] = {"ours": [], "bare": []}
        for _ in range(arguments.rounds):
            rates["bare"].append(bare(stage, arguments))
            rates["ours"].append(ours(stage, arguments))
        medians = {side: statistics.median(values) for side, values in rates.items()}
        methods[method] = {**medians, "ratio": medians["ours"] / medians["bare"]}
    return methods


def prepare(folder: Path, arguments: argparse.Namespace) -> tuple[Path, Path]:
    """Random pairs whose replies fill up to `length` tokens, and a random model of the wanted size."""
    generator = np.random.default_rng(0)
    words = ["".join(generator.choice(list("abcdefghij"), 4)) for _ in range(1000)]
    count = arguments.batch * arguments.steps

    def text(low: int, high: int) -> str:
        return " ".join(generator.choice(words, generator.integers(low, high)))

    third = arguments.length // 3
    frame = pd.DataFrame(
        {
            "prompt": [[{"role": "user", "content": text(third // 2, third)}] for _ in range(count)],
            "chosen": [text(third // 2, third) for _ in range(count)],
            "rejected": [text(third // 2, third) for _ in range(count)],
        }
    )
    frame.to_parquet(folder / "train.parquet")
    frame.head(arguments.batch).to_parquet(folder / "validation.parquet")
    context = 2 * arguments.length
    settings = Scratch(
        corpus="", hidden_size=arguments.hidden, layers=arguments.layers, heads=arguments.hidden // 32, context=context
    )
    tokenizer = train_tokenizer(frame["chosen"].tolist(), 2048, context)
    torch.manual_seed(0)
    model = build(settings, tokenizer)
    write_model(folder / "base", model, tokenizer, kind="policy", prompt_format="hh", made_by={}, facts={})
    return folder, folder / "base" / "model"


def ours(stage: Stage, arguments: argparse.Namespace) -> float:
    """The stage's own tokens per second, warm-up left out."""
    method = methods()[stage.method]
    every = max(1, arguments.steps // 4)
    method.train(
        stage,
        method.Settings(
            batch_size=arguments.batch,
            max_length=2 * arguments.length,
            log_every=every,
            checkpoint_every=10**6,
            learning_rate=1e-5,
        ),
    )
    lines = [line for line in read_jsonl(stage.metrics) if line["split"] == "train"][1:]
    return statistics.harmonic_mean([line["tokens_per_second"] for line in lines])


def bare(stage: Stage, arguments: argparse.Namespace) -> float:
    """A loop of forward, backward, clipping and a fused AdamW step on ready tensors."""
    torch.manual_seed(0)
    tokenizer = load_tokenizer(stage.policy)
    model = new_reward(stage.policy, tokenizer, 0) if stage.method == "reward" else load_policy(stage.policy)
    pairs = encode(stage.data / "train.parquet", ("chosen", "rejected"), tokenizer, "hh", 2 * arguments.length)
    order = np.random.default_rng(0).permutation(len(pairs)).reshape(-1, arguments.batch)
    batches = [collate(pairs, rows, stage.method, tokenizer.pad_token_id) for rows in order]
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)
    loss_of = {"sft": sft_loss, "reward": reward_loss, "dpo": dpo_loss}[stage.method]
    warm = len(batches) // 4
    model.train()
    start = time.perf_counter()
    for number, batch in enumerate(batches):
        if number == warm:
            start = time.perf_counter()
        loss_of(model, batch).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    seconds = time.perf_counter() - start
    return sum(int(batch["mask"].sum()) for batch in batches[warm:]) / seconds


def collate(pairs: EncodedReplies, rows: "np.ndarray[Any, Any]", method: str, pad: int) -> dict[str, torch.Tensor]:
    """Padded ids (B, T), attention mask and loss mask (the replies) of some pairs: chosen, then rejected."""
    columns = ("chosen",) if method == "sft" else ("chosen", "rejected")
    texts = [(pairs.prompts[row], pairs.replies[column][row]) for column in columns for row in rows]
    width = max(len(prompt) + len(reply) for prompt, reply in texts)
    ids = torch.full((len(texts), width), pad)
    mask, reply_mask = torch.zeros_like(ids), torch.zeros_like(ids)
    for row, (prompt, reply) in enumerate(texts):
        end = len(prompt) + len(reply)
        ids[row, :end] = torch.tensor(prompt + reply)
        mask[row, :end] = 1
        reply_mask[row, len(prompt) : end] = 1
    return {"ids": ids, "mask": mask, "reply_mask": reply_mask}


def sft_loss(model: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Mean cross-entropy of the replies' tokens."""
    logits = model(input_ids=batch["ids"], attention_mask=batch["mask"], use_cache=False).logits
    labels = batch["ids"].masked_fill(batch["reply_mask"] == 0, -100)
    return cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())


def reward_loss(model: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Bradley and Terry's loss."""
    scores = model(input_ids=batch["ids"], attention_mask=batch["mask"], use_cache=False).logits.squeeze(-1)
    chosen, rejected = scores.chunk(2)
    return -logsigmoid(chosen - rejected).mean()


def dpo_loss(model: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """DPO's loss with the reference's log-probabilities at hand (here 0: it costs the same)."""
    logits = model(input_ids=batch["ids"], attention_mask=batch["mask"], use_cache=False).logits
    logps = logits[:, :-1].log_softmax(-1).gather(2, batch["ids"][:, 1:, None]).squeeze(2)
    chosen, rejected = (logps * batch["reply_mask"][:, 1:]).sum(1).chunk(2)
    return -logsigmoid(0.1 * (chosen - rejected)).mean()


if __name__ == "__main__":
    main()
