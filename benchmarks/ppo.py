"""Compares PPO with that of TRL 1.12.0 on one machine: samples per second, seconds by phase, peak memory.

    python benchmarks/ppo.py --shape small --rounds 3
    python benchmarks/ppo.py --shape pythia-1.4b --rounds 1 --sides ours      # a GPU

Both start from the same random weights and ask the same prompts: 32 replies an update, 4 epochs of 4 optimizer steps.
TRL always trains a value model of its own: "ours, separate value model" does equal work. "ours" is our default, a value
head on the policy's trunk. TRL is measured without its default gradient checkpointing, which would slow it down. Each
side is a process of its own; rounds alternate, as other work on the machine changes with time. `cpu s` is processor
time an update, which depends less on what else runs. FLOP/s are those of the optimization phase (flops.py counts them).
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
PHASES = ("generate", "judge_and_reward", "optimize")
SIDES = {
    "TRL 1.12": ["ppo_trl.py"],
    "ours, separate value model": ["ppo_ours.py", "--value", "reward_copy"],
    "ours": ["ppo_ours.py", "--value", "head"],
}
Result = dict[str, float]


def main() -> None:
    """Runs the rounds and prints medians as Markdown tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=ppo_models.SHAPES, default="small")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--updates", type=int, default=4, help="updates of a run; the first one is not counted")
    parser.add_argument("--epochs", type=int, default=ppo_models.EPOCHS, help="1 is enough for the peak of memory")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--sides", choices=["both", "ours"], default="both")
    arguments = parser.parse_args()
    sides = {name: side for name, side in SIDES.items() if arguments.sides == "both" or name != "TRL 1.12"}
    rounds: list[dict[str, Result]] = []
    with tempfile.TemporaryDirectory() as folder:
        ppo_models.build(ppo_models.SHAPES[arguments.shape], Path(folder))
        for _ in range(arguments.rounds):
            rounds.append({})
            for name, side in sides.items():
                rounds[-1][name] = measure(side, folder, arguments)
                print(name, json.dumps(rounds[-1][name]), file=sys.stderr, flush=True)
    print_speed(rounds)
    print_arithmetic(rounds)


def measure(side: list[str], folder: str, arguments: argparse.Namespace) -> Result:
    """One run of one side."""
    script, *options = side
    python = trl_1_12.python() if script == "ppo_trl.py" else sys.executable
    for option in ("shape", "updates", "epochs"):
        options += [f"--{option}", str(getattr(arguments, option))]
    command = [python, HERE / script, folder, *options]
    environment = os.environ | {"OMP_NUM_THREADS": str(arguments.threads), "TRL_EXPERIMENTAL_SILENCE": "1"}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


def median(rounds: list[dict[str, Result]], side: str, column: str) -> float:
    """Of one side, over rounds."""
    return statistics.median(round_[side][column] for round_ in rounds)


def print_speed(rounds: list[dict[str, Result]]) -> None:
    """Samples per second and processor time, each also as how many times better than TRL in the same round."""
    print("| | samples/s | x TRL | cpu s | x TRL | generate | judge, reward | optimize | peak MiB |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|")
    for side in rounds[0]:
        speed, cpu = median(rounds, side, "samples_per_second"), median(rounds, side, "cpu_seconds")
        phases = [median(rounds, side, phase) for phase in PHASES]
        shares = " | ".join(f"{phase / sum(phases):.0%}" for phase in phases)
        faster, less = (f"{ratio:.2f}" if ratio else "" for ratio in ratios(rounds, side))
        peak = median(rounds, side, "peak_mib")
        print(f"| {side} | {speed:.1f} | {faster} | {cpu:.2f} | {less} | {shares} | {peak:.0f} |")


def ratios(rounds: list[dict[str, Result]], side: str) -> tuple[float | None, float | None]:
    """TRL's wall-clock and processor time over this side's, medians over rounds; None where TRL was not run."""
    pairs = [(round_["TRL 1.12"], round_[side]) for round_ in rounds if "TRL 1.12" in round_]
    if not pairs:
        return None, None
    faster = statistics.median(ours["samples_per_second"] / trl["samples_per_second"] for trl, ours in pairs)
    return faster, statistics.median(trl["cpu_seconds"] / ours["cpu_seconds"] for trl, ours in pairs)


def print_arithmetic(rounds: list[dict[str, Result]]) -> None:
    """FLOP/s of the optimization phase, and the share of the device's peak where that is known."""
    print("\n| optimization | TFLOP/s | share of peak | by processor time |")
    print("|---|---:|---:|---:|")
    for side in rounds[0]:
        if "flops" in rounds[0][side]:
            known = [
                f"{median(rounds, side, name):.0%}" if name in rounds[0][side] else ""
                for name in ("share", "cpu_share")
            ]
            print(f"| {side} | {median(rounds, side, 'flops') / 1e12:.3f} | {' | '.join(known)} |")


if __name__ == "__main__":
    main()
