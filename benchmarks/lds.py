"""The linear datamodelling score: do sums of scores rank retrainings on half of the pairs as measuring them does?

    python benchmarks/lds.py results/demo --config config/demo.yaml --pairs 600 --subsets 30 --out FOLDER

takes a finished study, trains the policy's last stage on its first `--pairs` pairs, scores them with each method,
retrains on random halves, and measures each model. The number of a vertical is the mean log-odds of its items' options,
so verticals without options are left out. Two kinds of retraining:

- `in place`: the pairs left out weigh 0, all others keep their places in the steps (what MAGIC's authors measure);
- `anew`: the pairs left out are gone, the others are shuffled anew and there are half as many steps (what a user does).

`anew` also trains the same halves in another order. The square root of that rank correlation is the ceiling: what a
score that is right about the pairs, and knows nothing of the order, can expect.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from trustdag.attribution import run
from trustdag.attribution.batches import Examples
from trustdag.attribution.embeddings import Embeddings
from trustdag.attribution.queries import Query, VerticalReplies, build
from trustdag.attribution.replay import Replay
from trustdag.attribution.settings import VerticalAttribution
from trustdag.attribution.sources import LogProbabilities, QuerySource
from trustdag.attribution.subject import Subject
from trustdag.attribution.task import AttributionTask
from trustdag.attribution.texts import VerticalQuery, encode_texts
from trustdag.config.load import load
from trustdag.dag import attribution_task
from trustdag.layout import ModelId, Results

METHODS = ("dot", "cosine", "datainf", "ekfac", "tracin", "unrolled")
BASELINES = ("random", "bm25", "embedding", "length")


@dataclass(frozen=True)
class World:
    """A stage that is retrained, and the verticals that are measured."""

    subject: Subject
    replay: Replay
    sources: dict[str, VerticalReplies]

    def examples(self, chosen: np.ndarray) -> Examples:
        """The chosen pairs alone."""
        every, rows = self.replay.examples, chosen.tolist()
        reference = None if every.reference is None else every.reference[rows]
        return Examples(
            [every.prompts[row] for row in rows],
            tuple([replies[row] for row in rows] for replies in every.replies),
            reference,
        )

    def measure(self) -> dict[str, Query]:
        """The number of each vertical under the weights that the model has now."""
        return {name: self._query(source) for name, source in self.sources.items()}

    @torch.no_grad()
    def _query(self, source: VerticalReplies) -> Query:
        options = source.replies[source.replies["kind"] == "likelihood"].assign(weight=1.0, group=0)
        query = Query(source.vertical, source.metric.name, "options", 0.0, 0.0, options)
        values = LogProbabilities(1.0)
        subject = self.subject
        encoded = encode_texts(query, source.items, subject.tokenizer, subject.task.prompt_format, values)
        logprobs = np.zeros(len(options))
        for batch in encoded.examples.blocks(64, subject.pad):
            logprobs[batch.examples.numpy()] = values(self.replay.model, batch).double().numpy()
        measured = pd.concat([source.replies[source.replies["kind"] != "likelihood"], options.assign(logprob=logprobs)])
        return build(replace(source, replies=measured), "options", 10, 0)


def world_of(task: AttributionTask, files: Results, pairs: int) -> World:
    """The stage on its first pairs, trained: the model holds the weights at the end.

    Args:
        task: The attribution of the study's policy, whose settings are taken.
        files: The study's files.
        pairs: How many pairs are trained on.
    """
    source = QuerySource(task, files)
    sources = {name: source.source(name, asked, task.policy) for name, asked in task.verticals.items()}
    loaded = Subject.load(task, files)
    subject = replace(loaded, pairs=loaded.pairs.head(pairs), examples=head(loaded.examples, pairs))
    replay = subject.replay()
    *_, _ = replay.run()
    return World(subject, replay, sources)


def head(examples: Examples, count: int) -> Examples:
    """The first examples."""
    reference = None if examples.reference is None else examples.reference[:count]
    return Examples(examples.prompts[:count], tuple(replies[:count] for replies in examples.replies), reference)


def scores(world: World, methods: Sequence[str]) -> dict[str, dict[str, np.ndarray]]:
    """By method and vertical: the score of each pair. The baselines are among the methods."""
    subject, found = world.subject, {}
    measured = world.measure()
    for name in methods:
        wanted = VerticalAttribution.model_validate({"method": name, "groups": 2})
        queries = []
        for vertical, query in measured.items():
            items = world.sources[vertical].items
            encoded = encode_texts(query, items, subject.tokenizer, subject.task.prompt_format, LogProbabilities(1.0))
            last = dict(zip(items["item"], [messages[-1]["content"] for messages in items["messages"]], strict=True))
            queries.append(VerticalQuery(query, encoded, wanted, [last[item] for item in query.texts["item"]]))
        start = time.monotonic()
        tables, _ = run.scores_of(subject, queries)
        found[name] = {vertical: table["score"].to_numpy() for vertical, table in zip(measured, tables, strict=True)}
        print(f"{name}: {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)
    for vertical, own in zip(measured, queries, strict=True):
        table = run.compared(subject, own, Embeddings(subject))
        for name in BASELINES:
            found.setdefault(name, {})[vertical] = table[name].to_numpy()
    return found


def retrained(world: World, subsets: int) -> Iterator[dict[str, Any]]:
    """Each half: which pairs it keeps, and the numbers after each kind of retraining."""
    count = len(world.replay.examples)
    for number in range(subsets):
        chosen = np.sort(np.random.default_rng(number).permutation(count)[: count // 2])
        kept = torch.zeros(count)
        kept[chosen] = 1.0
        row: dict[str, Any] = {"kept": chosen.tolist()}
        *_, _ = world.replay.run(kept)
        row["in place"] = {name: query.value for name, query in world.measure().items()}
        for kind, seed in (("anew", 0), ("anew again", 1)):
            *_, _ = replace(world.replay, examples=world.examples(chosen), seed=seed).run()
            row[kind] = {name: query.value for name, query in world.measure().items()}
        yield row


def spearman(one: np.ndarray, other: np.ndarray) -> float:
    """The rank correlation, with mean ranks for ties."""
    return float(pd.Series(one).corr(pd.Series(other), method="spearman"))


def interval(one: np.ndarray, other: np.ndarray) -> tuple[float, float, float]:
    """The rank correlation with its 95 % interval: a bootstrap over the retrainings.

    Returns:
        Correlation, lower and upper limit.
    """
    draws = np.random.default_rng(0).integers(0, len(one), (2000, len(one)))
    drawn = [spearman(one[rows], other[rows]) for rows in draws]
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    return spearman(one, other), float(low), float(high)


def table(rows: list[dict[str, Any]], found: dict[str, dict[str, np.ndarray]]) -> pd.DataFrame:
    """The score of each method, vertical and kind of retraining."""
    lines = []
    for kind in ("in place", "anew"):
        for vertical in rows[0][kind]:
            measured = np.array([row[kind][vertical] for row in rows])
            entries = {
                name: np.array([by_vertical[vertical][row["kept"]].sum() for row in rows])
                for name, by_vertical in found.items()
            }
            if kind == "anew":
                entries["same halves, another order"] = np.array([row["anew again"][vertical] for row in rows])
            for name, predicted in entries.items():
                value, low, high = interval(predicted, measured)
                lines.append(
                    {"retraining": kind, "vertical": vertical, "method": name, "spearman": value, "low": low,
                     "high": high, "retrainings": len(rows), "spread": measured.std()}
                )  # fmt: skip
    return pd.DataFrame(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, help="the results folder of a finished study")
    parser.add_argument("--config", type=Path, required=True, help="the study's configuration")
    parser.add_argument("--policy", default="toy/crowd/sft-dpo/seed0", help="the policy whose last stage is retrained")
    parser.add_argument("--verticals", nargs="+", default=["bias", "truthfulness", "ethics"])
    parser.add_argument("--methods", nargs="+", default=METHODS, choices=METHODS)
    parser.add_argument("--pairs", type=int, default=1500)
    parser.add_argument("--subsets", type=int, default=30)
    parser.add_argument("--out", type=Path, required=True, help="folder for lds.csv and the retrainings")
    arguments = parser.parse_args()
    asked = {name: VerticalAttribution() for name in arguments.verticals}
    task = attribution_task(load(arguments.config), ModelId.parse(arguments.policy), asked)
    world = world_of(task, Results(str(arguments.results)), arguments.pairs)
    found = scores(world, arguments.methods)
    arguments.out.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    with (arguments.out / "retrainings.jsonl").open("w", encoding="utf-8") as file:
        for row in retrained(world, arguments.subsets):
            rows.append(row)
            file.write(json.dumps(row) + "\n")
            file.flush()
            if len(rows) >= 8:
                table(rows, found).to_csv(arguments.out / "lds.csv", index=False)
    print(table(rows, found).to_string(index=False, float_format="{:.3f}".format))


if __name__ == "__main__":
    main()
