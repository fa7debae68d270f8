"""Our PPO beside TRL 1.12.0's, in turn on one machine: samples per second, seconds by phase, peak memory.

    python benchmarks/ppo.py --shape small --rounds 3
    python benchmarks/ppo.py --shape pythia-1.4b --rounds 1 --sides ours      # a GPU

Both start from the same random weights and ask the same prompts: 32 replies an update, 4 epochs of 4 optimiser steps.
TRL always trains a value model of its own; ours is measured so too, and as it is by default: a head on the policy's
trunk. TRL is measured without its default gradient checkpointing, which would slow it down. Each side is a process of
its own; rounds alternate, as other work on the machine changes with time. `cpu s` is processor time an update, which
depends less on what else runs.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import ppo_models
import trl_1_12

HERE = Path(__file__).resolve().parent
COLUMNS = ("samples_per_second", "cpu_seconds", "generate", "judge_and_reward", "optimise", "peak_mib")
SIDES = {
    "TRL 1.12": ["ppo_trl.py"],
    "ours, separate value model": ["ppo_ours.py", "--value", "reward_copy"],
    "ours": ["ppo_ours.py", "--value", "head"],
}


def main() -> None:
    """Runs the rounds and prints medians as a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=ppo_models.SHAPES, default="small")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--updates", type=int, default=4, help="updates of a run; the first one is not counted")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--sides", choices=["both", "ours"], default="both")
    arguments = parser.parse_args()
    sides = {name: side for name, side in SIDES.items() if arguments.sides == "both" or name != "TRL 1.12"}
    results: dict[str, list[dict[str, float]]] = {name: [] for name in sides}
    with tempfile.TemporaryDirectory() as folder:
        ppo_models.build(ppo_models.SHAPES[arguments.shape], Path(folder))
        for _ in range(arguments.rounds):
            for name, side in sides.items():
                results[name].append(measure(side, folder, arguments))
                print(name, json.dumps(results[name][-1]), file=sys.stderr, flush=True)
    print_table(results)


def measure(side: list[str], folder: str, arguments: argparse.Namespace) -> dict[str, float]:
    """One run of one side."""
    python = trl_1_12.python() if side[0] == "ppo_trl.py" else sys.executable
    command = [
        python,
        HERE / side[0],
        folder,
        "--shape",
        arguments.shape,
        "--updates",
        str(arguments.updates),
        *side[1:],
    ]
    environment = os.environ | {"OMP_NUM_THREADS": str(arguments.threads), "TRL_EXPERIMENTAL_SILENCE": "1"}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


def print_table(results: dict[str, list[dict[str, float]]]) -> None:
    """Medians over rounds; phases as shares of the update."""
    print("| | samples/s | cpu s | generate | judge, reward | optimise | peak MiB |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for name, rounds in results.items():
        speed, cpu, *phases, peak = (statistics.median(each[column] for each in rounds) for column in COLUMNS)
        shares = " | ".join(f"{phase / sum(phases):.0%}" for phase in phases)
        print(f"| {name} | {speed:.1f} | {cpu:.2f} | {shares} | {peak:.0f} |")


if __name__ == "__main__":
    main()
