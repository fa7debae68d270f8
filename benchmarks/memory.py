"""Peak memory and tokens/s of SFT, reward model and DPO with SmolLM2-135M's shape, compared with TRL's trainers.

    python benchmarks/memory.py [--rounds 1] [--steps 3] [--threads 2] [--stages sft reward dpo]
    python benchmarks/memory.py --steps 20 --batch 64 [--shape pythia-1.4b]      # a GPU

Random weights of SmolLM2-135M's shape (tied embeddings, 49,152 tokens), batches of 16 examples of 256 tokens (DPO and
the reward model: 16 pairs), AdamW, fp32 on a CPU and bf16 with weights in fp32 on a GPU. TRL's trainers run as they
come but for gradient checkpointing, which is off, and once more with the batch divided as ours is on a CPU. Each side
is a process of its own; rounds alternate. The first steps are not counted. `per processor s` depends less on what else
the machine does. On a GPU, `of peak` is the share of its bf16 peak (flops.py counts the arithmetic,
without the reference's passes of DPO). PPO: `benchmarks/ppo.py --shape smollm2`.
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

import flops
import ppo_models

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
    parser.add_argument("--length", type=int, default=256, help="tokens of an example")
    parser.add_argument("--shape", choices=ppo_models.SHAPES, default="smollm2")
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=STAGES)
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES))
    parser.add_argument("--one", nargs=2, metavar=("SIDE", "FOLDER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        side, folder = arguments.one
        print(json.dumps(one(side, arguments.stages[0], Path(folder), arguments)))
        return
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder), arguments)
        for stage in arguments.stages:
            rounds = [
                {name: measure(name, stage, folder, arguments) for name in arguments.sides}
                for _ in range(arguments.rounds)
            ]
            show(stage, rounds)


def measure(name: str, stage: str, folder: str, arguments: argparse.Namespace) -> Result:
    """One side in a process of its own."""
    options = ["--stages", stage]
    for option in ("steps", "batch", "length", "shape"):
        options += [f"--{option}", getattr(arguments, option)]
    command = [sys.executable, __file__, "--one", SIDES[name], folder, *options]
    environment = os.environ | {"OMP_NUM_THREADS": str(arguments.threads)}
    done = subprocess.run(list(map(str, command)), env=environment, stdout=subprocess.PIPE, text=True, check=True)
    result: Result = json.loads(done.stdout.strip().splitlines()[-1])
    print(stage, name, result, file=sys.stderr, flush=True)
    return result


def show(stage: str, rounds: list[dict[str, Result]]) -> None:
    """Medians over rounds; ratios are of the same round."""
    share = "share" in rounds[0]["ours"]
    print(f"\n| {stage} | peak GB | tokens/s | x TRL | {'of peak' if share else 'per processor s'} | x TRL |")
    print("|---|---:|---:|---:|---:|---:|")
    for name in rounds[0]:
        row = {key: statistics.median(sides[name][key] for sides in rounds) for key in rounds[0][name]}
        best = {
            key: statistics.median(
                sides[name][key] / max(side[key] for label, side in sides.items() if label != "ours")
                for sides in rounds
            )
            for key in {"rate", "cpu_rate"} & row.keys()
            if any(label != "ours" for label in rounds[0])
        }
        ratios = {key: f"{best[key]:.2f}" if key in best else "" for key in ("rate", "cpu_rate")}
        last = f"{row['share']:.0%} | |" if share else f"{row['cpu_rate']:.0f} | {ratios['cpu_rate']} |"
        print(f"| {name} | {row['peak_gb']:.2f} | {row['rate']:.0f} | {ratios['rate']} | {last}", flush=True)


# --- One side ---


def prepare(folder: Path, arguments: argparse.Namespace) -> None:
    """The model, and pairs whose prompt and reply are `length` tokens with the end-of-text token."""
    import numpy as np
    import pandas as pd

    shape = ppo_models.SHAPES[arguments.shape]
    ppo_models.build(shape, folder)
    generator = np.random.default_rng(0)

    def text(words: int) -> str:
        return " ".join(f"w{token}" for token in generator.integers(2, shape.vocabulary, words))

    half, pairs = arguments.length // 2, arguments.steps * arguments.batch
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

    on_gpu = torch.cuda.is_available()
    times: list[tuple[float, float]] = []

    def note(*_: object) -> None:
        if on_gpu:
            torch.cuda.synchronize()
        times.append((time.perf_counter(), time.process_time()))

    register_optimizer_step_post_hook(note)
    torch.manual_seed(0)
    batch = arguments.batch
    with tempfile.TemporaryDirectory() as out:
        if side == "ours":
            train_ours(stage, folder, Path(out), arguments)
        else:
            divided = side.removeprefix("trl:")
            train_trl(stage, folder, out, batch if divided == "whole" else int(divided), arguments)
    first = max(0, len(times) // 4 - 1)
    (wall, processor), (wall_end, processor_end) = times[first], times[-1]
    sequences = batch * (1 if stage == "sft" else 2) * (len(times) - 1 - first)
    rate = sequences * arguments.length / (wall_end - wall)
    result = {"peak_gb": peak_bytes() / 1e9, "rate": rate}
    if not on_gpu:
        return result | {"cpu_rate": sequences * arguments.length / (processor_end - processor)}
    if (peaks := flops.peak(torch.device("cuda"))) is None:
        return result
    return result | {"share": rate * flops_of_a_token(stage, arguments) / peaks[0]}


def peak_bytes() -> float:
    """The peak of memory of this process, on the GPU where there is one."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def flops_of_a_token(stage: str, arguments: argparse.Namespace) -> float:
    """Arithmetic of forward and backward pass for a token of an example, half of whose tokens are the reply."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    folder, length = Path(arguments.one[1]), arguments.length
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder / "policy"))
    shape, embeddings = ppo_models.SHAPES[arguments.shape], model.get_input_embeddings().weight.numel()
    trunk = sum(weight.numel() for weight in model.base_model.parameters()) - embeddings
    output = 0 if stage == "reward" else embeddings
    whole = flops.step_flops(trunk, output, shape.layers, shape.hidden, [length], length // 2)
    return whole / length


def train_ours(name: str, folder: Path, out: Path, arguments: argparse.Namespace) -> None:
    """The stage as `trustdag align` runs it."""
    from trustdag.align import methods
    from trustdag.train.stage import Stage

    method = methods()[name]
    settings = method.Settings(
        batch_size=arguments.batch, max_length=arguments.length, max_steps=arguments.steps, log_every=1,
        checkpoint_every=10**6,
    )  # fmt: skip
    method.train(Stage(name, folder / "policy", None, folder, 0, "plain", out), settings)


def train_trl(name: str, folder: Path, out: str, device_batch: int, arguments: argparse.Namespace) -> None:
    """TRL's trainer on the same tokens."""
    import torch
    import trl
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

    from trustdag.align import dpo, reward, sft
    from trustdag.train.pairs import encode

    tokenizer = AutoTokenizer.from_pretrained(folder / "policy")
    columns = ("chosen",) if name == "sft" else ("chosen", "rejected")
    pairs = encode(folder / "train.parquet", columns, tokenizer, "plain", arguments.length)
    data = Dataset.from_dict({"sft": sft, "reward": reward, "dpo": dpo}[name].examples(pairs))
    on_gpu = torch.cuda.is_available()
    common: dict[str, Any] = {
        "output_dir": out, "per_device_train_batch_size": device_batch,
        "gradient_accumulation_steps": arguments.batch // device_batch, "gradient_checkpointing": False,
        "bf16": on_gpu, "use_cpu": not on_gpu, "max_length": None, "save_strategy": "no", "report_to": "none",
        "disable_tqdm": True, "max_steps": arguments.steps, "optim": "adamw_torch_fused", "logging_steps": 1,
    }  # fmt: skip
    if name == "reward":
        model = AutoModelForSequenceClassification.from_pretrained(folder / "policy", num_labels=1, dtype=torch.float32)
        model.config.pad_token_id = tokenizer.pad_token_id
    else:
        model = AutoModelForCausalLM.from_pretrained(folder / "policy", dtype=torch.float32)
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
    own = config(**common, **options[name])
    trainer(model=model, args=own, train_dataset=data, processing_class=tokenizer).train()


if __name__ == "__main__":
    main()
