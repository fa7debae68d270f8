"""What all sides of the attribution benchmark share: a model of random weights, texts, and the clock.

Needs torch, transformers and peft alone, so that every side's Python can import it.
"""

import ctypes
import gc
import json
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, LlamaConfig

VOCABULARY, HIDDEN, LAYERS, HEADS, WIDTH = 1024, 256, 4, 4, 688
TOKENS, QUERIES, SUMMED, WARM = 128, 100, 4, 4
"""Tokens of a text and DataInf's queries, as in its paper; the first queries, which are summed to one against bergson;
texts of the pass that warms up."""
RANK = 4
"""Rank of the adapters, of which the change that training made consists."""
PROJECTION = 16
"""Rows of the projection of each side of a layer: bergson's default in its pipelines."""
DAMPING = 0.1
"""Of EK-FAC and of the projected gradients, as a share of the mean eigenvalue: the default of both libraries."""
PATTERN = r"layers\.\d+\..*_proj$"
"""The attributed layers: all linear layers of the blocks, which are bergson's default as well."""


def build(folder: Path, texts: int) -> None:
    """Writes the model before and after a training, the adapter of its change, and the texts.

    Args:
        folder: Where the sides read them.
        texts: How many texts are scored.
    """
    torch.manual_seed(0)
    configuration = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=HIDDEN,
        intermediate_size=WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        max_position_embeddings=2 * TOKENS,
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=1,
    )
    model = AutoModelForCausalLM.from_config(configuration)
    model.save_pretrained(folder / "start")
    generator = torch.Generator().manual_seed(1)
    for name, module in model.named_modules():
        if name.endswith("_proj"):
            outputs, inputs = module.weight.shape
            change = torch.randn(outputs, RANK, generator=generator) @ torch.randn(RANK, inputs, generator=generator)
            module.weight.data += 0.3 * module.weight.data.norm() / change.norm() * change
    model.save_pretrained(folder / "trained")
    ids = torch.randint(2, VOCABULARY, (texts + QUERIES, TOKENS), generator=generator)
    (folder / "texts.json").write_text(json.dumps(ids.tolist()))


def texts_of(folder: Path) -> tuple[list[list[int]], list[list[int]]]:
    """The token ids of the texts that are scored, and of the query's texts."""
    ids = json.loads((folder / "texts.json").read_text())
    return ids[:-QUERIES], ids[-QUERIES:]


def load(folder: Path) -> Any:
    """The trained model, in evaluation mode."""
    return AutoModelForCausalLM.from_pretrained(folder / "trained", dtype=torch.float32).eval()


def serve(methods: dict[str, Callable[[list[list[int]]], torch.Tensor]], folder: Path) -> None:
    """Answers each line of standard input, a method and a file, by one line of JSON: what scoring the texts cost.

    The scores go into the file. So rounds of several sides alternate without loading anything again.

    Args:
        methods: By name, what gives one score for each text.
        folder: Where the texts are.
    """
    texts, _ = texts_of(folder)
    answers = sys.stdout
    sys.stdout = sys.stderr
    warm = set()
    for line in sys.stdin:
        name, out = line.split()
        if name not in warm:
            methods[name](texts[:WARM])
            warm.add(name)
        scores, cost = measured(lambda method=methods[name]: method(texts))
        Path(out).write_text(json.dumps(scores.flatten().tolist()))
        print(json.dumps(cost | {"tokens": sum(map(len, texts))}), file=answers, flush=True)


def measured(compute: Callable[[], torch.Tensor]) -> tuple[torch.Tensor, dict[str, float]]:
    """Runs something once.

    Returns:
        What it gave; and its seconds by the clock and by processor time, and the most memory in MiB above that before.
    """
    gc.collect()
    before = restarted_peak()
    began, processor = time.perf_counter(), time.process_time()
    result = compute()
    cost = {"seconds": time.perf_counter() - began, "cpu_seconds": time.process_time() - processor}
    return result, cost | {"added_mib": peak_mib() - before}


def restarted_peak() -> float:
    """Begins to measure the peak of memory anew, and gives the memory that is held now, in MiB. Needs Linux's glibc."""
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    return peak_mib()


def peak_mib() -> float:
    """The most memory that the process has held since `restarted_peak`."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status).group(1)) / 2**10
