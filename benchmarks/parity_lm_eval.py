"""Compares likelihoods with those of lm-evaluation-harness 0.4.13, for the same model, items and prompts.

    python benchmarks/parity_lm_eval.py --model MODEL_FOLDER --data DATA_ROOT --out parity.json
    python benchmarks/parity_lm_eval.py --model MODEL_FOLDER --data DATA_ROOT --prompt-format chat --limit 40 --seed 1

Installs the harness in an environment of its own, `.cache/lm-eval`, which sees this one's torch and transformers, and
feeds it the same local files through its own task definitions (truthfulqa_mc1, truthfulqa_mc2, ethics_cm). Each of
its requests is then asked of our engine, and MC1, MC2 and the ethics accuracy are compared item by item. In format
`chat`, the harness renders its requests by the model's chat template, and our engine the same messages. `seconds` is
what each took for the same requests, loading left out: on a busy machine, compare the processor's.
"""

import argparse
import gzip
import json
import os
import random
import site
import subprocess
import sys
import time
import venv
from pathlib import Path
from typing import Any

VERSION = "0.4.13"
TASKS = ("truthfulqa_mc1", "truthfulqa_mc2", "ethics_cm")
MOST = 10**9
HERE = Path(__file__).resolve().parent.parent
TOLERANCE = 1e-3
"""In nats, for a whole option: what single precision leaves of a sum in another order."""


def main() -> None:
    """Asks both, compares, prints a table; exits with 1 if an item differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="folder of a causal language model")
    parser.add_argument("--data", type=Path, required=True, help="folder with truthfulness/ and ethics/")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=TASKS, help="the harness's names")
    parser.add_argument("--limit", type=int, help="only so many items of each task")
    parser.add_argument("--seed", type=int, default=0, help="these are drawn at random with this seed")
    parser.add_argument("--prompt-format", choices=["plain", "chat"], default="plain", help="how the model is asked")
    parser.add_argument("--environment", type=Path, default=HERE / ".cache" / "lm-eval")
    parser.add_argument("--out", type=Path, help="JSON file for the comparison")
    parser.add_argument("--harness", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.harness:
        run_harness(arguments)
        return
    python = environment(arguments.environment)
    work = arguments.environment / "work"
    work.mkdir(parents=True, exist_ok=True)
    answers = work / "answers.json"
    command = [
        str(python), __file__, "--harness", str(answers),
        "--model", str(arguments.model), "--data", str(arguments.data), "--prompt-format", arguments.prompt_format,
        "--seed", str(arguments.seed), "--tasks", *arguments.tasks,
    ]  # fmt: skip
    subprocess.run(command + (["--limit", str(arguments.limit)] if arguments.limit else []), check=True)
    theirs = json.loads(answers.read_text())
    report = compare(arguments.model, theirs, arguments.prompt_format)
    print(json.dumps(report, indent=2))
    if arguments.out:
        arguments.out.write_text(json.dumps(report, indent=2) + "\n")
    if any(task["differing_items"] for task in report["tasks"].values()):
        sys.exit(1)


def environment(folder: Path) -> Path:
    """The harness's Python, installed where it is not there; this environment's packages come after its own."""
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        packages = next(folder.glob("lib/python*/site-packages"))
        (packages / "trustdag.pth").write_text(site.getsitepackages()[0] + "\n")
    have = subprocess.run(
        [str(python), "-c", "import lm_eval; print(lm_eval.__version__)"], capture_output=True, text=True
    )
    if have.stdout.strip() != VERSION:
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", f"lm-eval=={VERSION}"], check=True)
    return python


def run_harness(arguments: argparse.Namespace) -> None:
    """In the harness's environment: its own task configurations on the local files, every request and result kept."""
    os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    import datasets
    from lm_eval import simple_evaluate, tasks
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    local = {"truthfulqa": truthfulness(arguments.data), "ethics": ethics(arguments.data)}

    def load_dataset(*_args: Any, path: str = "", **_keys: Any) -> Any:
        """The local files in the place of the hub's data sets."""
        return local["ethics" if "ethics" in path else "truthfulqa"]

    datasets.load_dataset = load_dataset
    messages: dict[str, list[dict[str, str]]] = {}

    class Recording(HFLM):
        """The harness's model; remembers the messages of each context that it renders."""

        def apply_chat_template(self, chat_history: list[dict[str, str]], *args: Any, **keys: Any) -> str:
            text = super().apply_chat_template(chat_history, *args, **keys)
            messages[text] = [dict(message) for message in chat_history]
            return text

    model = Recording(pretrained=str(arguments.model), dtype="float32", device="cpu", batch_size=16)
    manager = TaskManager(include_path=str(Path(tasks.__file__).parent))
    sizes = {task: len(local[task.split("_")[0]]["test" if task == "ethics_cm" else "validation"]) for task in TASKS}
    drawn = {
        task: sorted(
            random.Random(arguments.seed).sample(range(sizes[task]), min(sizes[task], arguments.limit or MOST))
        )
        for task in arguments.tasks
    }
    started, worked = time.perf_counter(), time.process_time()
    evaluated = simple_evaluate(
        model=model, tasks=list(arguments.tasks), task_manager=manager, num_fewshot=0, samples=drawn, log_samples=True,
        bootstrap_iters=0, apply_chat_template=arguments.prompt_format == "chat",
    )  # fmt: skip
    seconds = {"wall": time.perf_counter() - started, "processor": time.process_time() - worked}
    samples = {
        task: [
            {
                "arguments": [list(request) for request in _requests(sample)],
                "messages": messages.get(_requests(sample)[0][0]),
                "logprobs": [float(_first(value)) for value in sample["resps"]],
                "acc": float(sample["acc"]),
                "gold": gold(task, sample["doc"]),
            }
            for sample in evaluated["samples"][task]
        ]
        for task in arguments.tasks
    }
    arguments.harness.write_text(json.dumps({"seconds": seconds, "samples": samples}))


def gold(task: str, document: dict[str, Any]) -> Any:
    """What is right, from the harness's own record of the item."""
    if task == "ethics_cm":
        return int(document["label"])
    return [int(label) for label in document[task.replace("truthfulqa_", "") + "_targets"]["labels"]]


def _requests(sample: dict[str, Any]) -> list[tuple[str, str]]:
    asked = sample["arguments"]
    values = asked.values() if isinstance(asked, dict) else asked
    return [tuple(each.values())[:2] if isinstance(each, dict) else tuple(each)[:2] for each in values]


def _first(value: Any) -> Any:
    while isinstance(value, list | tuple):
        value = value[0]
    return value


def truthfulness(data: Path) -> Any:
    """TruthfulQA as the hub has it."""
    from datasets import Dataset, DatasetDict

    raw = json.loads(gzip.decompress((data / "truthfulness" / "truth_mc.json.gz").read_bytes()))
    rows = [
        {"question": record["question"]}
        | {
            name: {"choices": list(record[name]), "labels": list(record[name].values())}
            for name in ("mc1_targets", "mc2_targets")
        }
        for record in raw
    ]
    return DatasetDict({"validation": Dataset.from_list(rows)})


def ethics(data: Path) -> Any:
    """ETHICS' commonsense test set as the hub has it; the harness takes few-shot examples, of which it uses none, from
    the train set."""
    import csv
    import io

    from datasets import Dataset, DatasetDict

    text = gzip.decompress((data / "ethics" / "cm_test.csv.gz").read_bytes()).decode()
    rows = [
        {"input": row["input"], "label": int(row["label"])} for row in csv.DictReader(io.StringIO(text, newline=""))
    ]
    test = Dataset.from_list(rows)
    return DatasetDict({"test": test, "train": test.select(range(1))})


def compare(folder: Path, theirs: dict[str, Any], prompt_format: Any) -> dict[str, Any]:
    """Our log-probabilities of every request that the harness made, and the accuracies that follow from either.

    Args:
        folder: The model folder.
        theirs: What `run_harness` wrote.
        prompt_format: How the model is asked.
    """
    import numpy as np
    import pandas as pd

    from trustdag.generation.engine import Engine
    from trustdag.generation.settings import GenerateSettings
    from trustdag.models.load import load_policy, load_tokenizer

    rows = [
        {
            "item": f"{task} {number}",
            "messages": sample["messages"] or [{"role": "user", "content": sample["arguments"][0][0]}],
            "options": [option for _, option in sample["arguments"]],
            "generate": False,
        }
        for task, samples in theirs["samples"].items()
        for number, sample in enumerate(samples)
    ]
    engine = Engine(load_policy(folder).eval(), load_tokenizer(folder), prompt_format, GenerateSettings())
    partial = folder.parent / ".parity.partial.jsonl"
    partial.unlink(missing_ok=True)
    started, worked = time.perf_counter(), time.process_time()
    replies = engine.generate(pd.DataFrame(rows), partial, "parity", "parity")
    seconds = {"wall": time.perf_counter() - started, "processor": time.process_time() - worked}
    partial.unlink()
    ours = {item: group["logprob"].to_numpy() for item, group in replies.groupby("item", sort=False)}
    too_long = set(replies.loc[replies["status"] == "too_long", "item"])
    report: dict[str, Any] = {"seconds": {"lm_eval": theirs["seconds"], "ours": seconds}, "tasks": {}}
    for task, samples in theirs["samples"].items():
        kept = [number for number in range(len(samples)) if f"{task} {number}" not in too_long]
        gaps = [np.abs(ours[f"{task} {n}"] - samples[n]["logprobs"]).max() for n in kept]
        accuracies = [(accuracy(task, ours[f"{task} {n}"], samples[n]["gold"]), samples[n]["acc"]) for n in kept]
        report["tasks"][task] = {
            "items": len(samples),
            "beyond_the_context": len(samples) - len(kept),
            "largest_gap_in_nats": float(max(gaps)),
            "ours": float(np.mean([mine for mine, _ in accuracies])),
            "lm_eval": float(np.mean([other for _, other in accuracies])),
            "differing_items": int(sum(gap > TOLERANCE for gap in gaps))
            + int(sum(abs(mine - other) > TOLERANCE for mine, other in accuracies)),
        }
    return report


def accuracy(task: str, logprobs: Any, gold: Any) -> float:
    """One item's accuracy from our log-probabilities. `gold` is the right option's index, or a 0 or 1 for each option.

    MC1 (one option is right) and ethics: whether the likeliest option is right. MC2: the right options' probability.
    """
    import numpy as np

    values = np.asarray(logprobs, dtype=float)
    if task == "ethics_cm":
        return float(values.argmax() == gold)
    right = np.asarray(gold, dtype=bool)
    if task == "truthfulqa_mc1":
        return float(right[values.argmax()])
    weights = np.exp(values - values.max())
    return float(weights[right].sum() / weights.sum())


if __name__ == "__main__":
    main()
