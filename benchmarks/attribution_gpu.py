"""How long the attribution of a larger model takes: seconds, tokens per second and peak memory of each stage.

    python benchmarks/attribution_gpu.py --shape 410m --pairs 2000
    python benchmarks/attribution_gpu.py --shape tiny --pairs 20 --tokens 32 --replies 12

The model has the shape of a Pythia and random weights, the pairs and the query's replies are random tokens: neither
changes the time. What is timed is the package's own code from the encoded pairs on: DPO's reference, the gradients of
the query, all passes of the method, and the scores. The stage `reward` is what the attribution of a PPO policy
computes; drawing the replies of its reference is generation, which is not timed. It runs on the GPU if there is one.
"""

import argparse
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import torch
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

from attribution_world import peak_mib, restarted_peak
from retraining import print_table
from trustdag.align import methods
from trustdag.attribution import run
from trustdag.attribution.batches import Examples
from trustdag.attribution.objectives import objective_of, rewards
from trustdag.attribution.queries import Query
from trustdag.attribution.resume import PassSums
from trustdag.attribution.settings import VerticalAttribution
from trustdag.attribution.sources import LogProbabilities
from trustdag.attribution.subject import COLUMNS, Subject, with_reference
from trustdag.attribution.task import AttributionTask
from trustdag.attribution.texts import EncodedTexts, VerticalQuery
from trustdag.models.load import load_policy, new_reward

SHAPES: dict[str, dict[str, int]] = {
    "tiny": {"vocab_size": 512, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4},
    "160m": {"vocab_size": 50304, "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12},
    "410m": {"vocab_size": 50304, "hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16},
}
"""Those of Pythia-160M and Pythia-410M, and one for a test."""
PAD = 0
STAGES = ("sft", "dpo", "reward")
CHANGE = 1e-3
"""Standard deviation of what a stage's training is made to have added to each weight."""


def write_start(shape: str, folder: Path) -> None:
    """Writes the policy that all stages start from.

    Args:
        shape: Its shape's name.
        folder: The model folder.
    """
    sizes = SHAPES[shape]
    torch.manual_seed(0)
    config = GPTNeoXConfig(
        **sizes, intermediate_size=4 * sizes["hidden_size"], max_position_embeddings=2048, bos_token_id=1,
        eos_token_id=1, pad_token_id=PAD,
    )  # fmt: skip
    GPTNeoXForCausalLM(config).save_pretrained(folder)


def random_examples(count: int, replies: int, tokens: int, vocabulary: int) -> Examples:
    """Examples of random tokens: half of `tokens` is the prompt, and a reply is half to one and a half times as long.

    Args:
        count: How many.
        replies: Replies of each.
        tokens: Mean length of a text.
        vocabulary: Tokens are drawn from it.
    """
    random, half = np.random.default_rng(0), tokens // 2

    def texts(lengths: np.ndarray) -> list[list[int]]:
        return [random.integers(2, vocabulary, length).tolist() for length in lengths]

    sides = tuple(texts(random.integers(half // 2, half + half // 2 + 1, count)) for _ in range(replies))
    return Examples(texts(np.full(count, half)), sides)


def subject_of(stage: str, start: Path, arguments: argparse.Namespace, device: torch.device) -> Subject:
    """A stage's model with its pairs, on the device. Of DPO the reference is computed here.

    Args:
        stage: The stage.
        start: Folder of the policy that it starts from.
        arguments: The command line.
        device: The device.
    """
    settings: Any = methods()[stage].Settings()
    tokenizer: Any = SimpleNamespace(pad_token_id=PAD)
    model = (new_reward(start, tokenizer, 0) if stage == "reward" else load_policy(start)).to(device).eval()
    examples = random_examples(
        arguments.pairs, len(COLUMNS[stage]), arguments.tokens, SHAPES[arguments.shape]["vocab_size"]
    )
    if stage == "dpo":
        examples = with_reference(examples, model, PAD)
    with torch.no_grad():
        for weight in model.parameters():
            weight += CHANGE * torch.randn_like(weight)
    replies = examples.replies[0]
    objective = objective_of(settings, sum(map(len, replies)) / len(replies))
    task = AttributionTask.model_validate(
        {"policy": f"random/{stage}", "stage": {"reward": "ppo"}.get(stage, stage), "trained": f"random/{stage}",
         "trained_method": stage, "settings": settings.model_dump(mode="json"), "start": "random", "seed": 0,
         "preferences": "random", "prompt_format": "hh", "verticals": {}}
    )  # fmt: skip
    return Subject(task, settings, model, start, tokenizer, pd.DataFrame(), examples, objective)


def query_of(stage: str, arguments: argparse.Namespace) -> VerticalQuery:
    """A query of random replies with random weights.

    Args:
        stage: Of a reward model the query is of rewards, else of log-probabilities.
        arguments: The command line.
    """
    random, count = np.random.default_rng(1), arguments.replies
    wanted = VerticalAttribution.model_validate(
        {name: getattr(arguments, name) for name in ("method", "gradients", "layers", "memory_gb", "block")}
    )
    encoded = EncodedTexts(
        random_examples(count, 1, arguments.tokens, SHAPES[arguments.shape]["vocab_size"]),
        torch.tensor(random.normal(size=count) / count),
        torch.tensor(random.integers(0, wanted.groups, count)),
        rewards if stage == "reward" else LogProbabilities(1.0),
    )
    return VerticalQuery(Query("random", "random", "replies", 0.0, 0.0, pd.DataFrame()), encoded, wanted, [])


def timed(stage: str, start: Path, arguments: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    """Attributes a stage: what it cost.

    Args:
        stage: The stage.
        start: Folder of the policy that it starts from.
        arguments: The command line.
        device: The device.
    """
    before, on_gpu = restarted_peak(), device.type == "cuda"
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    began = time.perf_counter()
    subject = subject_of(stage, start, arguments, device)
    prepared = time.perf_counter()
    (table,), _ = run.scores_of(subject, [query_of(stage, arguments)], PassSums())
    seconds = time.perf_counter() - prepared
    if not np.isfinite(table["score"]).all():
        raise ArithmeticError(f"{stage}: a score is not a number")
    tokens = sum(
        len(prompt) + len(reply)
        for side in subject.examples.replies
        for prompt, reply in zip(subject.examples.prompts, side, strict=True)
    )
    peak = torch.cuda.max_memory_allocated() / 2**30 if on_gpu else (peak_mib() - before) / 2**10
    return {
        "stage": stage,
        "method": arguments.method,
        "pairs": len(table),
        "tokens": tokens,
        "model and reference, s": prepared - began,
        "scores, s": seconds,
        "tokens/s": tokens / seconds,
        "peak GiB": peak,
    }


def arguments_of() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", default="410m", choices=SHAPES)
    parser.add_argument("--pairs", type=int, default=2000)
    parser.add_argument("--tokens", type=int, default=256, help="mean length of a prompt with its reply")
    parser.add_argument("--replies", type=int, default=300, help="replies of the query")
    parser.add_argument("--stages", nargs="+", default=STAGES, choices=STAGES)
    parser.add_argument("--method", default="projected", help="as in a study, like the next four")
    parser.add_argument("--gradients", default="full")
    parser.add_argument("--layers", default="")
    parser.add_argument("--memory_gb", type=float, default=40)
    parser.add_argument("--block", type=int)
    return parser.parse_args()


def main() -> None:
    """Prints a line for each stage."""
    arguments = arguments_of()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    name = torch.cuda.get_device_name() if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    print(f"{name}, torch {torch.__version__}", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        write_start(arguments.shape, Path(scratch))
        for stage in arguments.stages:
            print_table([timed(stage, Path(scratch), arguments, device)])


if __name__ == "__main__":
    main()
