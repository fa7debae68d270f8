"""A study's last stage, trained in process on some of its pairs, measured and scored: what attribution's checks share.

Two kinds of numbers are measured. Of a policy: the mean log-odds of the items' options, so verticals without options
are left out. Of PPO's reward model: what the reward predicts of the policy's number, to first order
(docs/attribution.md).
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
import torch

from trustdag.attribution import run
from trustdag.attribution.batches import Examples
from trustdag.attribution.embeddings import Embeddings
from trustdag.attribution.objectives import PairObjective
from trustdag.attribution.queries import Query, VerticalReplies, build, item_weights
from trustdag.attribution.replay import Replay
from trustdag.attribution.resume import PassSums
from trustdag.attribution.settings import VerticalAttribution
from trustdag.attribution.sources import LogProbabilities, QuerySource
from trustdag.attribution.subject import COLUMNS, Subject, with_reference
from trustdag.attribution.task import AttributionTask
from trustdag.attribution.texts import VerticalQuery, encode_texts
from trustdag.config.load import load
from trustdag.dag import attribution_task
from trustdag.errors import UserError
from trustdag.generation.engine import Engine
from trustdag.generation.settings import GenerateSettings
from trustdag.layout import ModelId, Results
from trustdag.models.load import load_policy
from trustdag.train.pairs import encode

METHODS = ("dot", "cosine", "datainf", "ekfac", "tracin", "unrolled")
BASELINES = ("random", "bm25", "embedding", "length")
KINDS = ("in place", "anew")
"""Kinds of retraining: see `World.trainings`."""
AGAIN = "anew again"
"""As `anew`, in another order."""
DRAWS = 2000
"""Bootstrap draws of an interval."""

Scores = dict[str, dict[str, np.ndarray]]
"""By method and vertical, (pairs,)."""


# --- What is measured ---


class Number(Protocol):
    """A vertical's number as a function of the weights that the model has now."""

    def value(self, subject: Subject) -> float:
        """The number."""

    def query(self, subject: Subject, wanted: VerticalAttribution) -> VerticalQuery:
        """The texts whose log-probabilities or rewards move it."""


@dataclass(frozen=True)
class OptionOdds:
    """The log-odds of the items' options under a policy."""

    source: VerticalReplies

    def value(self, subject: Subject) -> float:
        """Their statistic."""
        return self._query(subject).value

    def query(self, subject: Subject, wanted: VerticalAttribution) -> VerticalQuery:
        """The options, weighted by their slopes at the present weights."""
        query, items = self._query(subject), self.source.items
        encoded = encode_texts(query, items, subject.tokenizer, subject.task.prompt_format, LogProbabilities(1.0))
        last = dict(zip(items["item"], [messages[-1]["content"] for messages in items["messages"]], strict=True))
        return VerticalQuery(query, encoded, wanted, [last[item] for item in query.texts["item"]])

    @torch.no_grad()
    def _query(self, subject: Subject) -> Query:
        source, values = self.source, LogProbabilities(1.0)
        counted = source.replies["item"].isin(source.of_metric(source.records).index)
        asked = counted & (source.replies["kind"] == "likelihood")
        options = source.replies[asked].assign(weight=1.0, group=0)
        query = Query(source.vertical, source.metric.name, "options", 0.0, 0.0, options)
        encoded = encode_texts(query, source.items, subject.tokenizer, subject.task.prompt_format, values)
        logprobs = np.zeros(len(options))
        for batch in encoded.examples.blocks(64, subject.pad):
            logprobs[batch.examples.numpy()] = values(subject.model, batch.to(subject.device)).double().cpu().numpy()
        replies = source.replies.copy()
        replies.loc[asked, "logprob"] = logprobs
        return build(replace(source, replies=replies), "options", 10, 0)


@dataclass(frozen=True)
class RewardPrediction:
    """What a reward model predicts of the number of PPO's policy: weights times rewards of fixed texts."""

    fixed: VerticalQuery

    @torch.no_grad()
    def value(self, subject: Subject) -> float:
        """The sum."""
        encoded, total = self.fixed.encoded, 0.0
        for batch in encoded.examples.blocks(64, subject.pad):
            values = encoded.values(subject.model, batch.to(subject.device)).double().cpu()
            total += float((encoded.weights[batch.examples] * values).sum())
        return total

    def query(self, subject: Subject, wanted: VerticalAttribution) -> VerticalQuery:  # noqa: ARG002 - as of any number
        """The same texts at all weights."""
        return replace(self.fixed, settings=wanted)


# --- The stage that is retrained ---


@dataclass(frozen=True)
class World:
    """A stage trained on some pairs of a study, and the numbers that are measured."""

    files: Results
    subject: Subject
    replay: Replay
    numbers: dict[str, Number]

    def train(self) -> None:
        """Trains on all pairs."""
        *_, _ = self.replay.run()

    def trainings(self, chosen: np.ndarray) -> dict[str, Callable[[], None]]:
        """By kind, what trains on the chosen pairs (numbers of pairs, in order).

        In place the others weigh 0 and all pairs keep their places in the steps; anew the others are gone, and the
        chosen ones are shuffled anew and make fewer steps, as for a user who has only them.
        """
        kept = torch.zeros(len(self.replay.examples))
        kept[chosen] = 1.0
        alone = replace(self.replay, examples=these(self.replay.examples, chosen))

        def run(replay: Replay, weights: torch.Tensor | None) -> None:
            *_, _ = replay.run(weights)

        return {
            "in place": partial(run, self.replay, kept),
            "anew": partial(run, alone, None),
            AGAIN: partial(run, replace(alone, seed=alone.seed + 1), None),
        }

    def untrain(self) -> None:
        """Puts the weights before the first step into the model."""
        self.replay.load(self.replay.start)

    def measure(self) -> dict[str, float]:
        """The number of each vertical under the weights that the model has now."""
        return {name: number.value(self.subject) for name, number in self.numbers.items()}

    def sampled(self, vertical: str, samples: int) -> float:
        """The vertical's own metric over sampled replies under the weights that the model has now.

        Args:
            vertical: Its name; a number of options.
            samples: Replies to each item.
        """
        measured, asked = self.numbers[vertical], self.subject.task.verticals[vertical]
        assert isinstance(measured, OptionOdds), "a reward model gives no replies"
        settings = GenerateSettings(**asked.generate).model_copy(update={"samples": samples})
        engine = Engine(
            deepcopy(self.subject.model), self.subject.tokenizer, self.subject.task.prompt_format, settings
        )  # the engine replaces layers of its model
        source = measured.source
        counted = set(source.of_metric(source.records).index)
        items = source.items[source.items["item"].isin(counted)]
        with tempfile.TemporaryDirectory() as scratch:
            replies = engine.generate(items, Path(scratch) / "partial.jsonl", "retraining")
        others = source.replies[~source.replies["item"].isin(counted)]
        number = item_weights(source, source.of_metric(source.score(pd.concat([others, replies]))))[2]
        if not np.isfinite(number):
            raise UserError(f"{vertical}: no reply of this model could be read, so that it has no {source.metric.name}")
        return number

    @cached_property
    def held_out(self) -> Examples:
        """The study's validation and test pairs."""
        subject, task = self.subject, self.subject.task
        sides = [
            Examples.of_pairs(
                encode(
                    Path(self.files.data(task.preferences, f"{split}.parquet")),
                    COLUMNS[task.trained_method], subject.tokenizer, task.prompt_format, subject.settings.max_length,
                ),
                COLUMNS[task.trained_method],
            )
            for split in ("validation", "test")
        ]  # fmt: skip
        both = Examples(
            [prompt for side in sides for prompt in side.prompts],
            tuple([reply for side in sides for reply in side.replies[place]] for place in range(2)),
        )
        return with_reference(both, load_policy(subject.start_folder).to(subject.device), subject.pad)

    @torch.no_grad()
    def reward_accuracy(self) -> float:
        """The share of held-out pairs whose chosen reply has the higher (implicit) reward."""
        objective = self.subject.objective
        assert isinstance(objective, PairObjective), "only losses of pairs have rewards"
        right = sum(
            int((objective.outputs(self.subject.model, batch.to(self.subject.device))[:, 0] > 0).sum())
            for batch in self.held_out.blocks(64, self.subject.pad)
        )
        return right / len(self.held_out)

    def scores(self, methods: Sequence[str]) -> Scores:
        """The score of each pair under the weights of the whole training; the baselines stand beside the methods."""
        subject, scores = self.subject, dict[str, dict[str, np.ndarray]]()
        queries: list[VerticalQuery] = []
        for name in methods:
            wanted = VerticalAttribution.model_validate({"method": name, "groups": 2})
            queries = [number.query(subject, wanted) for number in self.numbers.values()]
            start = time.monotonic()
            tables, _ = run.scores_of(subject, queries, PassSums())
            scores[name] = {
                vertical: table["score"].to_numpy() for vertical, table in zip(self.numbers, tables, strict=True)
            }
            print(f"{name}: {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)
        for vertical, own in zip(self.numbers, queries, strict=True):
            table = run.compared(subject, own, Embeddings(subject))
            for name in BASELINES:
                scores.setdefault(name, {})[vertical] = table[name].to_numpy()
        return scores


def world_of(task: AttributionTask, files: Results, pairs: int) -> World:
    """The task's stage, trained on pairs that its seed draws: the model holds the weights at the end.

    Args:
        task: The attribution of the study's policy, whose settings are taken; its seed also orders the training.
        files: The study's files.
        pairs: How many pairs are trained on.
    """
    source = QuerySource(task, files)
    loaded = Subject.load(task, files)
    numbers: dict[str, Number] = {}
    for name, asked in task.verticals.items():
        if task.ppo is None:
            numbers[name] = OptionOdds(source.source(name, asked, task.policy))
        else:
            numbers[name] = RewardPrediction(source.query(name, loaded))
    chosen = np.sort(np.random.default_rng(task.seed).permutation(len(loaded.examples))[:pairs])
    subject = replace(
        loaded, pairs=loaded.pairs.iloc[chosen].reset_index(drop=True), examples=these(loaded.examples, chosen)
    )
    world = World(files, subject, subject.replay(), numbers)
    world.train()
    return world


def these(examples: Examples, chosen: np.ndarray) -> Examples:
    """The chosen examples alone."""
    rows = chosen.tolist()
    reference = None if examples.reference is None else examples.reference[rows]
    replies = tuple([side[row] for row in rows] for side in examples.replies)
    return Examples([examples.prompts[row] for row in rows], replies, reference)


# --- Rank correlations ---


def spearman(one: np.ndarray, other: np.ndarray) -> float:
    """The rank correlation, with mean ranks for ties."""
    return float(pd.Series(one).corr(pd.Series(other), method="spearman"))


def spearman_interval(one: np.ndarray, other: np.ndarray) -> tuple[float, float, float]:
    """The rank correlation with its 95 % interval: a bootstrap over the retrainings.

    Returns:
        Correlation, lower and upper limit.
    """
    draws = np.random.default_rng(0).integers(0, len(one), (DRAWS, len(one)))
    low, high = np.nanquantile([spearman(one[rows], other[rows]) for rows in draws], [0.025, 0.975])
    return spearman(one, other), float(low), float(high)


# --- Command lines ---


def parser_of(description: str | None) -> argparse.ArgumentParser:
    """A parser with the arguments that all of these checks have."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, help="the results folder of a finished study")
    parser.add_argument("--config", type=Path, required=True, help="the study's configuration")
    parser.add_argument("--policy", default="toy/crowd/sft-dpo/seed0", help="the policy whose last stage is retrained")
    parser.add_argument("--start", help="the policy that the training starts from; by default the study's own")
    parser.add_argument("--verticals", nargs="+", default=["bias", "truthfulness", "ethics"])
    parser.add_argument("--query", default="options", choices=["options", "replies"], help="of PPO's reward model")
    parser.add_argument("--methods", nargs="+", default=METHODS, choices=METHODS)
    parser.add_argument("--pairs", type=int, default=400, help="how many of the study's pairs are trained on")
    return parser


def world_from(arguments: argparse.Namespace, seed: int, **settings: Any) -> World:
    """The world that a command line asks for.

    Args:
        arguments: The command line.
        seed: Draws the pairs and orders them.
        settings: Of the stage, where they are not to be the study's own.
    """
    wanted = VerticalAttribution(query=arguments.query)
    asked = dict.fromkeys(arguments.verticals, wanted)
    task = attribution_task(load(arguments.config), ModelId.parse(arguments.policy), asked)
    changes: dict[str, Any] = {"seed": seed, "settings": task.settings | settings} | (
        {"start": arguments.start} if arguments.start else {}
    )
    torch.set_num_threads(1)
    return world_of(task.model_copy(update=changes), Results(str(arguments.results)), arguments.pairs)


def print_table(rows: Iterable[dict[str, Any]]) -> None:
    """Prints rows as a table with three digits."""
    print(pd.DataFrame(rows).to_string(index=False, float_format="{:.3f}".format), flush=True)
