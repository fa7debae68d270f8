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

import flops
import ppo_models
from trustdag.jsonfiles import read_jsonl
from trustdag.rl.batch import Experience
from trustdag.rl.model import ActorCritic, base_of
from trustdag.rl.settings import PPOSettings
from trustdag.rl.trainer import PPOTrainer


class Timed(PPOTrainer):
    """Our trainer, which also notes processor time: by update, and in the optimization phase."""

    def train(self, *arguments: object) -> None:
        """Starts the clock."""
        self.updates: list[dict[str, float]] = []
        self.began, self.optimising = time.process_time(), 0.0
        super().train(*arguments)

    def improve(self, minibatch: Experience) -> None:
        """Adds one optimizer step's time."""
        began = time.process_time()
        super().improve(minibatch)
        self.optimising += time.process_time() - began

    def finish_update(self, experience: Experience, *arguments: object) -> None:
        """Notes the update, and the arithmetic of its optimization phase."""
        super().finish_update(experience, *arguments)
        work = self.settings.epochs * flops_of(self.plain, experience)
        self.updates.append({"cpu": time.process_time() - self.began, "cpu_optimise": self.optimising, "flops": work})
        self.began, self.optimising = time.process_time(), 0.0


def main() -> None:
    """Trains and prints samples per second after the first update, seconds by phase, and the peak of memory."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--shape", choices=ppo_models.SHAPES, default="small")
    parser.add_argument("--updates", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=ppo_models.EPOCHS)
    parser.add_argument("--value", choices=["head", "reward_copy"], default="head")
    arguments = parser.parse_args()
    shape = ppo_models.SHAPES[arguments.shape]
    with tempfile.TemporaryDirectory() as out:
        trainer = build(arguments.folder, shape, arguments.updates, arguments.value, Path(out), arguments.epochs)
        trainer.train()
        lines = read_jsonl(Path(out) / "metrics.jsonl")
    records = [line | times for line, times in zip(lines, trainer.updates, strict=True)]
    print(json.dumps(result(records[1:], shape) | arithmetic(records[1:], trainer.accelerator.device)))


def flops_of(model: ActorCritic, experience: Experience) -> float:
    """Arithmetic of one pass over an update's replies: the policy, and the value model's trunk if it has its own."""
    base = base_of(model.policy)
    config, output = base.config, base.get_output_embeddings().weight.numel()
    embeddings = base.get_input_embeddings().weight.numel()
    lengths = (experience.prompt_lengths + experience.lengths).tolist()
    total = 0.0
    for trunk, outputs in ((base.base_model, output), (model.critic, 0)):
        if trunk is not None:
            parameters = sum(weight.numel() for weight in trunk.parameters()) - embeddings
            total += flops.step_flops(
                parameters, outputs, config.num_hidden_layers, config.hidden_size, lengths, int(experience.mask.sum())
            )
    return total


def build(
    folder: Path, shape: ppo_models.Shape, updates: int, value: str, out: Path, epochs: int = ppo_models.EPOCHS
) -> Timed:
    """Our trainer with `shape.batch` replies an update and epochs of 4 optimizer steps."""
    settings = PPOSettings(
        batch_size=shape.batch, minibatches=ppo_models.MINIBATCHES, epochs=epochs, updates=updates,
        max_new_tokens=shape.reply, learning_rate=1e-5, value=value, checkpoint_every=10**6, samples_every=10**6,
        device_batch_size=16 if torch.cuda.is_available() and shape.batch != ppo_models.BATCH else None,
    )  # fmt: skip
    tokenizer = AutoTokenizer.from_pretrained(folder / "policy")
    prompts = [" ".join(f"w{token}" for token in ids) for ids in ppo_models.prompts(shape)]
    policy = AutoModelForCausalLM.from_pretrained(folder / "policy", dtype=torch.float32)
    reward = AutoModelForSequenceClassification.from_pretrained(folder / "reward", dtype=torch.float32)
    return Timed(policy, tokenizer, reward, prompts, settings, out)


def result(records: list[dict], shape: ppo_models.Shape) -> dict:
    """Medians over updates, as ppo_trl.py has them."""

    def median(name: str) -> float:
        return statistics.median(record[name] for record in records)

    if torch.cuda.is_available():
        peak = torch.cuda.max_memory_allocated() / 2**20
    else:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    return {
        "samples_per_second": shape.batch / median("seconds"),
        "cpu_seconds": median("cpu"),
        "generate": median("seconds_generate"),
        "judge_and_reward": median("seconds_evaluate") + median("seconds_reward"),
        "optimize": median("seconds_optimize"),
        "peak_mib": peak,
    }


def arithmetic(records: list[dict], device: torch.device) -> dict:
    """FLOP/s of the optimization phase, and its share of the peak by wall clock and by processor time (on a CPU)."""
    wall = statistics.median(record["flops"] / record["seconds_optimize"] for record in records)
    processor = statistics.median(record["flops"] / record["cpu_optimise"] for record in records)
    peaks = flops.peak(device)
    if peaks is None:
        return {"flops": wall}
    shares = {"share": wall / peaks[0]}
    return {"flops": wall} | shares | ({"cpu_share": processor / peaks[1]} if device.type == "cpu" else {})


if __name__ == "__main__":
    main()
