"""Our side of benchmarks/ppo.py. Prints one line of JSON."""

import argparse
import json
import resource
import statistics
import tempfile
import time
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

import ppo_models
from trustdag.artifacts import read_jsonl
from trustdag.rl.settings import PPOSettings
from trustdag.rl.trainer import PPOTrainer


def main() -> None:
    """Trains and prints samples per second after the first update, seconds by phase, and the peak of memory."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--shape", choices=ppo_models.SHAPES, default="small")
    parser.add_argument("--updates", type=int, default=4)
    parser.add_argument("--value", choices=["head", "reward_copy"], default="head")
    arguments = parser.parse_args()
    shape = ppo_models.SHAPES[arguments.shape]
    with tempfile.TemporaryDirectory() as out:
        trainer = build(arguments.folder, shape, arguments.updates, arguments.value, Path(out))
        began = time.process_time()
        trainer.train()
        cpu = (time.process_time() - began) / arguments.updates
        records = read_jsonl(Path(out) / "metrics.jsonl")[1:]
    print(json.dumps(result(records, shape, cpu)))


def build(folder: Path, shape: ppo_models.Shape, updates: int, value: str, out: Path) -> PPOTrainer:
    """Our trainer with `shape.batch` replies an update and 4 epochs of 4 optimiser steps."""
    settings = PPOSettings(
        batch_size=shape.batch, minibatches=ppo_models.MINIBATCHES, epochs=ppo_models.EPOCHS, updates=updates,
        max_new_tokens=shape.reply, learning_rate=1e-5, value=value, checkpoint_every=10**6, samples_every=10**6,
        device_batch_size=None if shape.batch == ppo_models.BATCH else 16,
    )  # fmt: skip
    tokenizer = AutoTokenizer.from_pretrained(folder / "policy")
    prompts = [" ".join(f"w{token}" for token in ids) for ids in ppo_models.prompts(shape)]
    policy = AutoModelForCausalLM.from_pretrained(folder / "policy", dtype=torch.float32)
    reward = AutoModelForSequenceClassification.from_pretrained(folder / "reward", dtype=torch.float32)
    return PPOTrainer(policy, tokenizer, reward, prompts, settings, out)


def result(records: list[dict], shape: ppo_models.Shape, cpu: float) -> dict:
    """Medians over updates, as ppo_trl.py has them."""

    def median(name: str) -> float:
        return statistics.median(record[name] for record in records)

    if torch.cuda.is_available():
        peak = torch.cuda.max_memory_allocated() / 2**20
    else:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    return {
        "samples_per_second": shape.batch / median("seconds"),
        "cpu_seconds": cpu,
        "generate": median("seconds_generate"),
        "judge_and_reward": median("seconds_judge") + median("seconds_reward"),
        "optimise": median("seconds_optimise"),
        "peak_mib": peak,
    }


if __name__ == "__main__":
    main()
