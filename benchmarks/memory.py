"""Peak memory and tokens/s of SFT, reward model and DPO with SmolLM2-135M's shape, compared with TRL's trainers.

    python benchmarks/memory.py [--rounds 1] [--steps 3] [--threads 2] [--stages sft reward dpo]

Random weights of SmolLM2-135M's shape (tied embeddings, 49,152 tokens), batches of 16 examples of 256 tokens (DPO and
the reward model: 16 pairs), fp32, AdamW. TRL's trainers run as they come but for gradient checkpointing, which is off,
and once more with the batch divided as ours is. Each side is a process of its own; rounds alternate. The first step is
not counted. `per processor s` depends less on what else the machine does. PPO: `benchmarks/ppo.py --shape smollm2`.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import ppo_models

SHAPE = ppo_models.SHAPES["smollm2"]
LENGTH = 256
STAGES = ("sft", "reward", "dpo")
SIDES = {"ours": "ours", "TRL": "trl:whole", "TRL, batch divided": "trl:1"}
Result = dict[str, float]


def main() -> None:
    """Measures one side where asked, else all of them in turn, and prints a table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--steps", type=int, default=3, help="optimizer steps; the first one is not counted")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=16, help="examples of one optimizer step")
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=STAGES)
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES))
    parser.add_argument("--one", nargs=2, metavar=("SIDE", "FOLDER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        side, folder = arguments.one
        print(json.dumps(one(side, arguments.stages[0], Path(folder), arguments)))
        return
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder), arguments.steps * arguments.batch)
        for stage in arguments.stages:
            rounds = [
                {name: measure(name, stage, folder, arguments) for name in arguments.sides}
                for _ in range(arguments.rounds)
            ]
            show(stage, rounds)


def measure(name: str, stage: str, folder: str, arguments: argparse.Namespace) -> Result:
    """One side in a process of its own."""
    options = ["--stages", stage, "--steps", arguments.steps, "--batch", arguments.batch]
    command = [sys.executable, __file__, "--one", SIDES[name], folder, *options]
    environment = os.environ | {"OMP_NUM_THREADS": str(arguments.threads)}
    done = subprocess.run(list(map(str, command)), env=environment, stdout=subprocess.PIPE, text=True, check=True)
    result: Result = json.loads(done.stdout.strip().splitlines()[-1])
    print(stage, name, result, file=sys.stderr, flush=True)
    return result


def show(stage: str, rounds: list[dict[str, Result]]) -> None:
    """Medians over rounds; ratios are of the same round."""
    print(f"\n| {stage} | peak GB | tokens/s | x TRL | per processor s | x TRL |\n|---|---:|---:|---:|---:|---:|")
    for name in rounds[0]:
        row = {key: statistics.median(sides[name][key] for sides in rounds) for key in rounds[0][name]}
        best = {
            key: statistics.median(
                sides[name][key] / max(side[key] for label, side in sides.items() if label != "ours")
                for sides in rounds
            )
            for key in ("rate", "cpu_rate")
            if any(label != "ours" for label in rounds[0])
        }
        ratios = {key: f"{best[key]:.2f}" if key in best else "" for key in ("rate", "cpu_rate")}
        print(
            f"| {name} | {row['peak_gb']:.2f} | {row['rate']:.0f} | {ratios['rate']} "
            f"| {row['cpu_rate']:.0f} | {ratios['cpu_rate']} |",
            flush=True,
        )


# --- One side ---


def prepare(folder: Path, pairs: int) -> None:
    """The model, and pairs whose prompt and reply are `LENGTH` tokens with the end-of-text token."""
    import numpy as np
    import pandas as pd

    ppo_models.build(SHAPE, folder)
    generator = np.random.default_rng(0)

    def text(words: int) -> str:
        return " ".join(f"w{token}" for token in generator.integers(2, SHAPE.vocabulary, words))

    half = LENGTH // 2
    frame = pd.DataFrame(
        {
            "prompt": [[{"role": "user", "content": text(half)}] for _ in range(pairs)],
            "chosen": [text(half - 1) for _ in range(pairs)],
            "rejected": [text(half - 1) for _ in range(pairs)],
        }
    )
    frame.to_parquet(folder / "train.parquet")
    frame.head(2).to_parquet(folder / "validation.parquet")


def one(side: str, stage: str, folder: Path, arguments: argparse.Namespace) -> Result:
    """Trains, and returns the peak of memory and the tokens per second of the steps after the first."""
    import torch
    from torch.optim.optimizer import register_optimizer_step_post_hook

    times: list[tuple[float, float]] = []
    register_optimizer_step_post_hook(lambda *_: times.append((time.perf_counter(), time.process_time())))
    torch.manual_seed(0)
    batch, steps = arguments.batch, arguments.steps
    with tempfile.TemporaryDirectory() as out:
        if side == "ours":
            train_ours(stage, folder, Path(out), batch, steps)
        else:
            divided = side.removeprefix("trl:")
            train_trl(stage, folder, out, batch, batch if divided == "whole" else int(divided), steps)
    tokens = batch * LENGTH * (1 if stage == "sft" else 2) * (steps - 1)
    (wall, processor), (wall_end, processor_end) = times[0], times[-1]
    return {
        "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9,
        "rate": tokens / (wall_end - wall),
        "cpu_rate": tokens / (processor_end - processor),
    }


def train_ours(name: str, folder: Path, out: Path, batch: int, steps: int) -> None:
    """The stage as `trustdag align` runs it."""
    from trustdag.align import methods
    from trustdag.train.stage import Stage

    method = methods()[name]
    settings = method.Settings(
        batch_size=batch, max_length=LENGTH, max_steps=steps, log_every=1, checkpoint_every=10**6
    )
    method.train(Stage(name, folder / "policy", None, folder, 0, "plain", out), settings)


def train_trl(name: str, folder: Path, out: str, batch: int, device_batch: int, steps: int) -> None:
    """TRL's trainer on the same tokens."""
    import trl
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

    from trustdag.align import dpo, reward, sft
    from trustdag.train.pairs import encode

    tokenizer = AutoTokenizer.from_pretrained(folder / "policy")
    columns = ("chosen",) if name == "sft" else ("chosen", "rejected")
    pairs = encode(folder / "train.parquet", columns, tokenizer, "plain", LENGTH)
    data = Dataset.from_dict({"sft": sft, "reward": reward, "dpo": dpo}[name].examples(pairs))
    common: dict[str, Any] = {
        "output_dir": out, "per_device_train_batch_size": device_batch,
        "gradient_accumulation_steps": batch // device_batch, "gradient_checkpointing": False, "bf16": False,
        "use_cpu": True, "max_length": None, "save_strategy": "no", "report_to": "none", "disable_tqdm": True,
        "max_steps": steps, "optim": "adamw_torch_fused", "logging_steps": 1,
    }  # fmt: skip
    if name == "reward":
        model = AutoModelForSequenceClassification.from_pretrained(folder / "policy", num_labels=1)
        model.config.pad_token_id = tokenizer.pad_token_id
    else:
        model = AutoModelForCausalLM.from_pretrained(folder / "policy")
    options = {
        "sft": {"dataset_kwargs": {"skip_prepare_dataset": True}},
        "reward": {},
        "dpo": {"precompute_ref_log_probs": True},
    }
    config, trainer = {
        "sft": (trl.SFTConfig, trl.SFTTrainer),
        "reward": (trl.RewardConfig, trl.RewardTrainer),
        "dpo": (trl.DPOConfig, trl.DPOTrainer),
    }[name]
    if name == "dpo":
        trainer = type("Tokenized", (trainer,), {"_prepare_dataset": lambda _self, dataset, *_, **__: dataset})
    arguments = config(**common, **options[name])
    trainer(model=model, args=arguments, train_dataset=data, processing_class=tokenizer).train()


if __name__ == "__main__":
    main()
