"""Does our PPO learn as much as TRL 1.12.0's? Reward at equal KL, on tasks with a known optimum, over seeds.

    python benchmarks/ppo_learning.py            # some minutes

Both sides start from the same random policy, ask the same prompts, and get the same rewards, learning rate, KL weight,
epochs and minibatches; ours has its default value head, TRL its separate value model. An update's reward and KL to the
start (per reply) are measured on its own replies, before it learns from them. The two runs of a seed end at different
KLs; "at equal KL" is each run's reward where its KL first reaches the lower of the two final ones.
"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

import ppo_models
import ppo_tasks
import trl_1_12
from trustdag.artifacts import read_jsonl
from trustdag.rl.settings import PPOSettings
from trustdag.rl.trainer import PPOTrainer

HERE = Path(__file__).resolve().parent
SMOOTHED = 5
"""Updates over which rewards and KLs are averaged: one update's batch is noisy."""
Curve = list[dict[str, float]]


def main() -> None:
    """Runs both sides, each task and seed in turn, and prints a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--updates", type=int, default=ppo_tasks.UPDATES)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(arguments.seeds):
            ppo_models.build(ppo_tasks.SHAPE, Path(folder) / str(seed), seed)
            ppo_models.steer_ends(Path(folder) / str(seed), ppo_tasks.END_LOGIT)
        ours = {
            task: [our_curve(task, Path(folder), seed, arguments.updates) for seed in range(arguments.seeds)]
            for task in ppo_tasks.TASKS
        }
        theirs = trl_curves(folder, arguments.seeds, arguments.updates)
    print_table(ours, theirs)


def our_curve(task: str, folder: Path, seed: int, updates: int) -> Curve:
    """Reward and KL of each update of ours."""
    settings = PPOSettings(
        **ppo_tasks.SHARED, batch_size=ppo_tasks.SHAPE.batch, minibatches=ppo_models.MINIBATCHES,
        epochs=ppo_models.EPOCHS, updates=updates, max_new_tokens=ppo_tasks.SHAPE.reply, missing_end_penalty=0.0,
        reward_clip=None, collapse_patience=None, checkpoint_every=updates, samples_every=updates,
    )  # fmt: skip
    prompts = [" ".join(f"w{token}" for token in ids) for ids in ppo_models.prompts(ppo_tasks.SHAPE)]
    policy = AutoModelForCausalLM.from_pretrained(folder / str(seed) / "policy", dtype=torch.float32)
    out = folder / "ours" / task / str(seed)
    words = ppo_models.tokenizer(ppo_tasks.SHAPE)
    PPOTrainer(policy, words, ppo_tasks.TASKS[task].of_texts, prompts, settings, out, seed=seed).train()
    return [{"reward": line["reward"], "kl": line["kl"]} for line in read_jsonl(out / "metrics.jsonl")]


def trl_curves(folder: str, seeds: int, updates: int) -> dict[str, list[Curve]]:
    """Reward and KL of each update of TRL, by task and seed."""
    command = [trl_1_12.python(), HERE / "ppo_learning_trl.py", folder, "--seeds", str(seeds), "--updates"]
    environment = os.environ | {"TRL_EXPERIMENTAL_SILENCE": "1"}
    done = subprocess.run([*command, str(updates)], env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


def end_of(curve: Curve) -> tuple[float, float]:
    """Final reward and KL."""
    return smooth(curve, "reward")[-1], smooth(curve, "kl")[-1]


def smooth(curve: Curve, name: str) -> list[float]:
    """Running means over `SMOOTHED` updates."""
    values = [each[name] for each in curve]
    return [statistics.fmean(values[max(0, at - SMOOTHED + 1) : at + 1]) for at in range(len(values))]


def reward_at(curve: Curve, kl: float) -> float:
    """The reward where the KL first reaches `kl`, linear between two updates; the KL is reached somewhere."""
    rewards, kls = smooth(curve, "reward"), smooth(curve, "kl")
    at = next(at for at, value in enumerate(kls) if value >= kl)
    if at == 0:
        return rewards[0]
    share = (kl - kls[at - 1]) / (kls[at] - kls[at - 1])
    return rewards[at - 1] + share * (rewards[at] - rewards[at - 1])


def print_table(ours: dict[str, list[Curve]], theirs: dict[str, list[Curve]]) -> None:
    """Means over seeds with their standard deviations."""
    print("| task | optimum | start | TRL: reward, KL | ours: reward, KL | at equal KL: TRL | ours | ours - TRL |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    for task in ours:
        pairs = list(zip(theirs[task], ours[task], strict=True))
        ends = [[end_of(curve) for curve in pair] for pair in pairs]
        lower = [min(kl for _, kl in pair) for pair in ends]
        equal = [[reward_at(curve, kl) for curve in pair] for pair, kl in zip(pairs, lower, strict=True)]
        final = [
            f"{spread([pair[side][0] for pair in ends])}, {spread([pair[side][1] for pair in ends])}" for side in (0, 1)
        ]
        at_equal = [spread([pair[side] for pair in equal]) for side in (0, 1)]
        difference = spread([mine - trl for trl, mine in equal])
        start = spread([smooth(curve, "reward")[0] for curve in ours[task]])
        cells = [task, f"{ppo_tasks.TASKS[task].optimum:g}", start, *final, *at_equal, difference]
        print(f"| {' | '.join(cells)} |")


def spread(values: list[float]) -> str:
    """Mean and standard deviation over seeds."""
    return f"{statistics.fmean(values):.2f} ± {statistics.stdev(values):.2f}" if len(values) > 1 else f"{values[0]:.2f}"


if __name__ == "__main__":
    main()
