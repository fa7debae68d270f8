"""TRL's side of ppo_learning.py; run by the Python of trl_1_12.py. Prints rewards and KLs as one line of JSON."""

import argparse
import json
import tempfile
from pathlib import Path

import datasets
import torch
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer
from trl.experimental.ppo import PPOConfig, PPOTrainer

import ppo_models
import ppo_tasks


def main() -> None:
    """Trains on every task from every seed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, required=True)
    parser.add_argument("--updates", type=int, required=True)
    arguments = parser.parse_args()
    datasets.disable_progress_bars()
    curves = {
        task: [curve(task, arguments.folder / str(seed), seed, arguments.updates) for seed in range(arguments.seeds)]
        for task in ppo_tasks.TASKS
    }
    print(json.dumps(curves))


def curve(task: str, folder: Path, seed: int, updates: int) -> list[dict[str, float]]:
    """Reward and KL of each update."""
    shape, found = ppo_tasks.SHAPE, []
    config = PPOConfig(
        **ppo_tasks.SHARED, output_dir=tempfile.mkdtemp(), use_cpu=True, bf16=False, gradient_checkpointing=False,
        per_device_train_batch_size=shape.batch, num_mini_batches=ppo_models.MINIBATCHES, seed=seed,
        num_ppo_epochs=ppo_models.EPOCHS, total_episodes=shape.batch * updates, response_length=shape.reply,
        stop_token="eos", local_rollout_forward_batch_size=shape.batch, num_sample_generations=0,  # noqa: S106
        lr_scheduler_type="constant", report_to="none", save_strategy="no", logging_steps=1, disable_tqdm=True,
    )  # fmt: skip
    torch.manual_seed(seed)
    trainer = PPOTrainer(
        config,
        AutoTokenizer.from_pretrained(folder / "policy"),
        AutoModelForCausalLM.from_pretrained(folder / "policy", dtype=torch.float32),
        None,
        ppo_tasks.TokenReward(ppo_tasks.TASKS[task]),
        datasets.Dataset.from_dict({"input_ids": ppo_models.prompts(shape)}),
        AutoModelForSequenceClassification.from_pretrained(folder / "policy", num_labels=1, dtype=torch.float32),
        eval_dataset=datasets.Dataset.from_dict({"input_ids": ppo_models.prompts(shape)}),
    )
    trainer.log = lambda metrics: found.append({"reward": metrics["objective/scores"], "kl": metrics["objective/kl"]})
    trainer.train()
    return found


if __name__ == "__main__":
    main()
