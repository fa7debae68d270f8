"""TRL 1.12's side of benchmarks/ppo.py; run by the Python of benchmarks/trl_1_12.py. Prints one line of JSON."""

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path

import datasets
import torch
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer
from trl.experimental.ppo import PPOConfig, PPOTrainer, ppo_trainer

import ppo_models


def main() -> None:
    """Trains and prints samples per second after the first update, seconds by phase, and the peak of memory."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--shape", choices=ppo_models.SHAPES, default="small")
    parser.add_argument("--updates", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=ppo_models.EPOCHS)
    parser.add_argument("--defaults", action="store_true", help="TRL's own gradient checkpointing, which is on")
    arguments = parser.parse_args()
    datasets.disable_progress_bars()
    shape = ppo_models.SHAPES[arguments.shape]
    clock = Clock()
    trainer = build(arguments.folder, shape, arguments.updates, arguments.defaults, arguments.epochs)
    trainer.log = clock.end_of_update
    ppo_trainer.batch_generation = clock.timed("generate", ppo_trainer.batch_generation)
    ppo_trainer.masked_whiten = clock.marking_rollout(ppo_trainer.masked_whiten)
    clock.start()
    trainer.train()
    print(json.dumps(clock.result(shape.batch)))


def build(folder: Path, shape: ppo_models.Shape, updates: int, defaults: bool, epochs: int) -> PPOTrainer:
    """TRL's trainer with `shape.batch` replies an update, epochs of 4 optimizer steps, all else switched off."""
    config = PPOConfig(
        output_dir=tempfile.mkdtemp(), use_cpu=not torch.cuda.is_available(), bf16=torch.cuda.is_available(),
        gradient_checkpointing=defaults, per_device_train_batch_size=shape.batch, gradient_accumulation_steps=1,
        num_mini_batches=ppo_models.MINIBATCHES, num_ppo_epochs=epochs,
        total_episodes=shape.batch * updates, response_length=shape.reply, temperature=1.0, stop_token="eos",  # noqa: S106
        local_rollout_forward_batch_size=shape.batch, num_sample_generations=0, learning_rate=1e-5, report_to="none",
        save_strategy="no", logging_steps=1, disable_tqdm=True,
    )  # fmt: skip
    data = datasets.Dataset.from_dict({"input_ids": ppo_models.prompts(shape)})
    policy = AutoModelForCausalLM.from_pretrained(folder / "policy", dtype=torch.float32)
    reward = AutoModelForSequenceClassification.from_pretrained(folder / "reward", dtype=torch.float32)
    value = AutoModelForSequenceClassification.from_pretrained(folder / "reward", dtype=torch.float32)
    return PPOTrainer(
        config, AutoTokenizer.from_pretrained(folder / "policy"), policy, None, reward, data, value, eval_dataset=data
    )


class Clock:
    """When updates and their phases began and ended."""

    def __init__(self) -> None:
        self.updates: list[dict[str, float]] = []

    def start(self) -> None:
        """An update begins."""
        self.began, self.cpu, self.current = (
            time.perf_counter(),
            time.process_time(),
            dict.fromkeys(["generate", "rollout"], 0.0),
        )

    def timed(self, phase, function):
        """`function`, its time added to a phase."""

        def wrapped(*arguments, **keywords):
            began = time.perf_counter()
            result = function(*arguments, **keywords)
            self.current[phase] += time.perf_counter() - began
            return result

        return wrapped

    def marking_rollout(self, function):
        """Whitening is the rollout's last act."""

        def wrapped(*arguments, **keywords):
            self.current["rollout"] = time.perf_counter() - self.began
            return function(*arguments, **keywords)

        return wrapped

    def end_of_update(self, *_: object) -> None:
        """TRL logs at the end of each update."""
        now = self.current | {"seconds": time.perf_counter() - self.began, "cpu": time.process_time() - self.cpu}
        self.updates.append(now)
        self.start()

    def result(self, batch: int) -> dict:
        """Medians over updates; the first one warms up."""

        def median(name: str) -> float:
            return float(torch.tensor([update[name] for update in self.updates[1:]]).median())

        seconds = median("seconds")
        return {
            "samples_per_second": batch / seconds,
            "cpu_seconds": median("cpu"),
            "generate": median("generate"),
            "judge_and_reward": median("rollout") - median("generate"),
            "optimize": seconds - median("rollout"),
            "peak_mib": peak_mib(),
        }


def peak_mib() -> float:
    """The most memory so far: of the GPU where there is one, else of the process."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


if __name__ == "__main__":
    main()
