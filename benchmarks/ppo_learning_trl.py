"""TRL's side of ppo_learning.py; run by the Python of trl_1_12.py. Prints rewards and KLs as one line of JSON."""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import datasets
import torch
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer
from trl.experimental.ppo import PPOConfig, PPOTrainer

import ppo_tasks

NO_CLIP = 1e9
"""A clip of the values that never acts."""


def main() -> None:
    """Does the runs that a JSON file lists."""
    datasets.disable_progress_bars()
    runs = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    print(json.dumps([curve(ppo_tasks.Run(*run)) for run in runs]))


def curve(run: ppo_tasks.Run) -> list[dict[str, float]]:
    """Reward and KL of each update."""
    updates: list[dict[str, float]] = []
    torch.manual_seed(run.seed)
    tokenizer = AutoTokenizer.from_pretrained(run.policy, padding_side="left")
    prompts = datasets.Dataset.from_dict({"input_ids": tokenizer(run.prompts)["input_ids"]})
    trainer = PPOTrainer(
        config(run),
        tokenizer,
        AutoModelForCausalLM.from_pretrained(run.policy, dtype=torch.float32),
        None,
        classifier(run.reward) if run.reward else ppo_tasks.TokenReward(ppo_tasks.TASKS[run.task]),
        prompts,
        classifier(run.reward or run.policy),
        eval_dataset=prompts.select(range(run.settings["batch_size"])),
    )
    trainer.log = lambda metrics: updates.append(described(metrics, run))
    trainer.train()
    return updates


def config(run: ppo_tasks.Run) -> PPOConfig:
    """The run's settings by TRL's names."""
    given = run.settings
    return PPOConfig(
        output_dir=tempfile.mkdtemp(), seed=run.seed, use_cpu=True, bf16=False, gradient_checkpointing=False,
        total_episodes=given["updates"] * given["batch_size"], per_device_train_batch_size=given["batch_size"],
        local_rollout_forward_batch_size=given["batch_size"], num_ppo_epochs=given["epochs"],
        num_mini_batches=given["minibatches"], response_length=given["max_new_tokens"], temperature=1.0,
        learning_rate=given["learning_rate"], lr_scheduler_type="constant", kl_coef=given["kl_coef"],
        cliprange_value=given["value_clip"] or NO_CLIP, missing_eos_penalty=given["missing_end_penalty"] or None,
        stop_token="eos", num_sample_generations=0, report_to="none", save_strategy="no", logging_steps=1,  # noqa: S106
        disable_tqdm=True,
    )  # fmt: skip


def classifier(folder: str) -> Any:
    """A reward or value model from a folder; a policy's gets a new score."""
    return AutoModelForSequenceClassification.from_pretrained(folder, num_labels=1, dtype=torch.float32)


def described(metrics: dict[str, float], run: ppo_tasks.Run) -> dict[str, float]:
    """An update's numbers; the penalty for a missing end, which TRL's scores hold, taken out of the reward."""
    ended = metrics["val/num_eos_tokens"] / run.settings["batch_size"]
    reward = metrics["objective/scores"] + run.settings["missing_end_penalty"] * (1 - ended)
    return {"reward": reward, "kl": metrics["objective/kl"], "ended": ended}


if __name__ == "__main__":
    main()
