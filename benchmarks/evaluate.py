"""Speed of the engine on the five verticals, compared with a loop over single prompts.

    python benchmarks/evaluate.py --model MODEL_FOLDER --data DATA_ROOT [--limit N] --out evaluate.json

The loop is what evaluation scripts do: transformers' `generate` for each sample of each item, and one forward pass
over prompt and option for each option. It is run on `--loop` items of each vertical, drawn at random, and reported as
items a second: for replies, for options, and for both at once where items are asked for both. Both run
in this process, with the same threads and the same linear layers, one after the other. Where the machine is busy,
compare processor seconds and set OMP_WAIT_POLICY=passive, without which a thread that waits counts as working.
"""

import argparse
import json
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

VERTICALS = ("toxicity", "bias", "ethics", "truthfulness", "privacy")


def sources(data: Path) -> dict[str, dict[str, Any]]:
    """The items of each vertical on real data."""
    files = {
        "toxicity": ("toxicity/toxic.jsonl.gz", "toxicity/nontoxic.jsonl.gz"),
        "bias": ("bias/user_prompts.csv.gz",),
        "ethics": ("ethics/cm_test.csv.gz",),
        "truthfulness": ("truthfulness/truth_mc.json.gz",),
    }
    settings: dict[str, dict[str, Any]] = {
        name: {"source": "file", "paths": [str(data / path) for path in paths]} for name, paths in files.items()
    }
    return settings | {"privacy": {"source": "synthetic"}}


def main() -> None:
    """Measures every vertical and prints a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="folder of a causal language model")
    parser.add_argument("--data", type=Path, required=True, help="folder of the publishers' files")
    parser.add_argument("--verticals", nargs="+", default=VERTICALS, choices=VERTICALS)
    parser.add_argument("--limit", type=int, help="items of each vertical, drawn at random; all where left out")
    parser.add_argument("--loop", type=int, default=20, help="items of each vertical that the loop asks")
    parser.add_argument("--prompt-format", default="plain", choices=("hh", "plain"))
    parser.add_argument("--out", type=Path, help="JSON file for all that is measured")
    arguments = parser.parse_args()
    import torch

    from trustdag.models.load import choose_bf16, load_policy, load_tokenizer

    model = load_policy(arguments.model, torch.bfloat16 if choose_bf16("auto") else torch.float32)
    model.to("cuda" if torch.cuda.is_available() else "cpu").eval()
    tokenizer = load_tokenizer(arguments.model)
    report: dict[str, Any] = {
        "model": {"folder": str(arguments.model), "parameters": model.num_parameters()},
        "machine": {"device": str(model.device), "threads": torch.get_num_threads(), "processor": platform.processor()},
        "verticals": {},
    }
    for name in arguments.verticals:
        report["verticals"][name] = measure(name, arguments, model, tokenizer)
        for part, speed in report["verticals"][name].items():
            rates, ratio = speed["items_per_second"]["wall"], speed["ratio"]
            print(
                f"{name:>13} {part:>8}: {speed['items']} items, engine {rates['engine']:.1f}/s, loop "
                f"{rates['loop']:.2f}/s, {ratio['wall']:.1f} times ({ratio['processor']:.1f} by processor time)",
                flush=True,
            )
    if arguments.out:
        arguments.out.write_text(json.dumps(report, indent=2) + "\n")


def measure(name: str, arguments: argparse.Namespace, model: Any, tokenizer: Any) -> dict[str, Any]:
    """Items a second of the engine and of the loop on one vertical: replies and options by themselves, and both."""
    from trustdag.verticals import verticals

    module = verticals()[name]
    settings = module.Settings.model_validate({"items": sources(arguments.data)[name]})
    items = module.items(settings.items)
    if arguments.limit:
        items = items.sample(min(arguments.limit, len(items)), random_state=0).reset_index(drop=True)
    parts = {
        "replies": items[items["generate"]].assign(options=[[]] * int(items["generate"].sum())),
        "options": items[items["options"].map(len) > 0].assign(generate=False),
    }
    if all(map(len, parts.values())):
        parts["both"] = items
    return {
        part: beside_a_loop(some.reset_index(drop=True), arguments, model, tokenizer, settings.generate)
        for part, some in parts.items()
        if len(some)
    }


def beside_a_loop(items: Any, arguments: argparse.Namespace, model: Any, tokenizer: Any, settings: Any) -> Any:
    """Items a second of the engine on all items and of the loop on some."""
    from trustdag.generation.engine import Engine

    partial = arguments.model.parent / ".evaluate.partial"
    engine = Engine(model, tokenizer, arguments.prompt_format, settings)

    def ask(asked: Any) -> Any:
        partial.unlink(missing_ok=True)
        return engine.generate(asked, partial, "evaluate")

    some = items.sample(min(arguments.loop, len(items)), random_state=1)
    # Neither side pays for what happens once in a process.
    ask(some[:2])
    one_at_a_time(some[:1], model, tokenizer, arguments.prompt_format, settings)
    replies, took = timed(lambda: ask(items))
    partial.unlink()
    _, loop = timed(lambda: one_at_a_time(some, model, tokenizer, arguments.prompt_format, settings))
    rates = {
        clock: {"engine": len(items) / took[clock], "loop": len(some) / loop[clock]} for clock in ("wall", "processor")
    }
    return {
        "items": len(items),
        "replies": len(replies),
        "too_long": int((replies["status"] == "too_long").sum()),
        "asked_by_the_loop": len(some),
        "engine_seconds": took,
        "loop_seconds": loop,
        "items_per_second": rates,
        "ratio": {clock: rate["engine"] / rate["loop"] for clock, rate in rates.items()},
    }


def timed(work: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    """What it returns, and its seconds by the clock on the wall and by the processor's, of all threads together."""
    started, worked = time.perf_counter(), time.process_time()
    result = work()
    return result, {"wall": time.perf_counter() - started, "processor": time.process_time() - worked}


def one_at_a_time(items: Any, model: Any, tokenizer: Any, prompt_format: Any, settings: Any) -> None:
    """The loop: each sample and each option by itself."""
    import torch

    from trustdag.models.dialogue import completion, render

    sampling = (
        {"do_sample": True, "temperature": settings.temperature} if settings.temperature else {"do_sample": False}
    )
    for row in items.itertuples():
        prompt = render(list(row.messages), tokenizer, prompt_format)
        ids = tokenizer(prompt, return_tensors="pt")["input_ids"].to(model.device)
        with torch.inference_mode():
            for _ in range(settings.samples if row.generate else 0):
                model.generate(
                    ids, max_new_tokens=settings.max_new_tokens, eos_token_id=tokenizer.eos_token_id,
                    pad_token_id=tokenizer.pad_token_id, attention_mask=torch.ones_like(ids), **sampling,
                )  # fmt: skip
            for option in row.options:
                whole = tokenizer(prompt + completion(option, prompt_format), return_tensors="pt")["input_ids"].to(
                    model.device
                )
                model(whole).logits.log_softmax(-1)


if __name__ == "__main__":
    main()
