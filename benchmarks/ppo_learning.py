"""Does our PPO learn as much as TRL 1.12.0's? Reward at equal KL, over seeds.

    python benchmarks/ppo_learning.py                               # tasks with a known optimum
    python benchmarks/ppo_learning.py --study results/toy-seeds     # a finished study's own reward models

Both sides start from the same policy, ask the same prompts, and get the same rewards, learning rate, KL weight, epochs
and minibatches. On the tasks the policy is random and ours has its default value head, TRL its separate value model; in
a study both start from each seed's SFT policy, and their value models from its reward model. An update's reward and KL
to the start (per reply) are measured on its own replies, before it learns from them. The two runs of a seed end at
different KLs; "at equal KL" is each run's reward where its KL first reaches the lower of the two final ones.
"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile
from pathlib import Path

import ppo_models
import ppo_tasks
import trl_1_12
from ppo_tasks import Run
from trustdag.artifacts import read_table, write_json
from trustdag.jsonfiles import read_json, read_jsonl
from trustdag.models.dialogue import render
from trustdag.models.load import load_policy, load_reward, load_tokenizer
from trustdag.models.logging_setup import hide_library_messages
from trustdag.rl.settings import PPOSettings
from trustdag.rl.trainer import PPOTrainer

HERE = Path(__file__).resolve().parent
SMOOTHED = 5
"""Updates over which rewards and KLs are averaged: one update's batch is noisy."""
Curve = list[dict[str, float]]


def main() -> None:
    """Does each run on both sides and prints a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--updates", type=int, help="default: 60, and as many as the study's stage has")
    parser.add_argument("--study", type=Path, help="results folder of a study with the recipe sft, reward, ppo")
    parser.add_argument("--curves", type=Path, help="write reward and KL of each update here, as JSON")
    arguments = parser.parse_args()
    hide_library_messages()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        runs = study_runs(arguments.study) if arguments.study else task_runs(folder, arguments.seeds)
        runs = [run for run in runs if run.seed < arguments.seeds]
        if arguments.updates:
            runs = [run._replace(settings=run.settings | {"updates": arguments.updates}) for run in runs]
        ours = [our_curve(run, folder / "ours" / run.task / str(run.seed)) for run in runs]
        write_json(folder / "runs.json", runs)
        pairs = list(zip(trl_curves(folder / "runs.json"), ours, strict=True))
    if arguments.curves:
        write_json(arguments.curves, [[run.task, run.seed, *pair] for run, pair in zip(runs, pairs, strict=True)])
    print_table(
        {task: [pair for run, pair in zip(runs, pairs, strict=True) if run.task == task] for task in tasks(runs)}
    )


def task_runs(folder: Path, seeds: int) -> list[Run]:
    """Every task from a random policy of each seed."""
    for seed in range(seeds):
        ppo_models.build(ppo_tasks.SHAPE, folder / str(seed), seed)
        ppo_models.steer_ends(folder / str(seed), ppo_tasks.END_LOGIT)
    prompts = [" ".join(f"w{token}" for token in ids) for ids in ppo_models.prompts(ppo_tasks.SHAPE)]
    return [
        Run(task, seed, str(folder / str(seed) / "policy"), None, prompts, ppo_tasks.SETTINGS)
        for task in ppo_tasks.TASKS
        for seed in range(seeds)
    ]


def study_runs(study: Path) -> list[Run]:
    """Each PPO stage of a finished study, as it was trained there."""
    runs = []
    for manifest in sorted(study.glob("models/*/*/sft-reward-ppo/seed*/manifest.json")):
        made, seed = read_json(manifest)["made_by"], manifest.parent.name
        preferences = manifest.parents[2]
        policy = preferences / "sft" / seed / "model"
        table = read_table(study / "data" / preferences.name / "train.parquet", ["prompt"], "preference pairs")
        tokenizer = load_tokenizer(policy)
        prompts = [render(list(messages), tokenizer, made["prompt_format"]) for messages in table["prompt"]]
        settings = {name: made["settings"][name] for name in ppo_tasks.SETTINGS}
        reward = preferences / "sft-reward" / seed / "model"
        runs.append(Run(f"{study.name}: reward model", made["seed"], str(policy), str(reward), prompts, settings))
    return runs


def tasks(runs: list[Run]) -> list[str]:
    """The names of the tasks, each once."""
    return list(dict.fromkeys(run.task for run in runs))


def our_curve(run: Run, out: Path) -> Curve:
    """Reward and KL of each update of ours."""
    updates = run.settings["updates"]
    settings = PPOSettings(
        **run.settings, value="reward_copy" if run.reward else "head", reward_clip=None, collapse_patience=None,
        checkpoint_every=updates, samples_every=updates,
    )  # fmt: skip
    policy = Path(run.policy)
    reward = load_reward(Path(run.reward)) if run.reward else ppo_tasks.TASKS[run.task].of_texts
    PPOTrainer(load_policy(policy), load_tokenizer(policy), reward, run.prompts, settings, out, seed=run.seed).train()
    return [{name: line[name] for name in ("reward", "kl", "ended")} for line in read_jsonl(out / "metrics.jsonl")]


def trl_curves(runs: Path) -> list[Curve]:
    """Reward and KL of each update of TRL."""
    command = [trl_1_12.python(), HERE / "ppo_learning_trl.py", runs]
    environment = os.environ | {"TRL_EXPERIMENTAL_SILENCE": "1"}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


def end_of(curve: Curve) -> tuple[float, float]:
    """Final reward and KL."""
    return smooth(curve, "reward")[-1], smooth(curve, "kl")[-1]


def smooth(curve: Curve, name: str) -> list[float]:
    """Running means over `SMOOTHED` updates."""
    values = [update[name] for update in curve]
    return [statistics.fmean(values[max(0, end - SMOOTHED + 1) : end + 1]) for end in range(len(values))]


def reward_at(curve: Curve, kl: float) -> float:
    """The reward where the KL first reaches `kl`, linear between two updates; the KL is reached somewhere."""
    rewards, kls = smooth(curve, "reward"), smooth(curve, "kl")
    first = next(first for first, value in enumerate(kls) if value >= kl)
    if first == 0:
        return rewards[0]
    share = (kl - kls[first - 1]) / (kls[first] - kls[first - 1])
    return rewards[first - 1] + share * (rewards[first] - rewards[first - 1])


def print_table(pairs_of: dict[str, list[tuple[Curve, Curve]]]) -> None:
    """Means over seeds with their standard deviations."""
    print("| task | optimum | start | TRL: reward, KL | ours: reward, KL | at equal KL: TRL | ours | ours - TRL |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    for task, pairs in pairs_of.items():
        ends = [[end_of(curve) for curve in pair] for pair in pairs]
        lower = [min(kl for _, kl in pair) for pair in ends]
        equal = [[reward_at(curve, kl) for curve in pair] for pair, kl in zip(pairs, lower, strict=True)]
        final = [
            f"{spread([pair[side][0] for pair in ends])}, {spread([pair[side][1] for pair in ends])}" for side in (0, 1)
        ]
        at_equal = [spread([pair[side] for pair in equal]) for side in (0, 1)]
        difference = spread([mine - trl for trl, mine in equal])
        start = spread([smooth(ours, "reward")[0] for _, ours in pairs])
        optimum = f"{ppo_tasks.TASKS[task].optimum:g}" if task in ppo_tasks.TASKS else ""
        print(f"| {' | '.join([task, optimum, start, *final, *at_equal, difference])} |")


def spread(values: list[float]) -> str:
    """Mean and standard deviation over seeds."""
    return f"{statistics.fmean(values):.2f} ± {statistics.stdev(values):.2f}" if len(values) > 1 else f"{values[0]:.2f}"


if __name__ == "__main__":
    main()
