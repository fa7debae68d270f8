"""The job of the rule `attribute`: from a study's results to a table of scores for each vertical. Imports torch."""

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from trustdag.artifacts import remove, sha256_file, sha256_text, write_table
from trustdag.attribution import baselines, memory
from trustdag.attribution.embeddings import Embeddings
from trustdag.attribution.gradients import FullView, View
from trustdag.attribution.layers import Selection
from trustdag.attribution.methods import method
from trustdag.attribution.problem import Problem, Scores
from trustdag.attribution.processes import ALONE, Processes, processes_of_job
from trustdag.attribution.queries import jackknife
from trustdag.attribution.resume import KeptPassSums, PassSums
from trustdag.attribution.settings import VerticalAttribution
from trustdag.attribution.sources import QuerySource
from trustdag.attribution.subject import Subject
from trustdag.attribution.task import AttributionTask
from trustdag.attribution.texts import VerticalQuery, gradients_of
from trustdag.errors import UserError
from trustdag.fingerprint import code_of
from trustdag.layout import Results
from trustdag.models.threads import use_threads
from trustdag.seals import model_digest
from trustdag.stamps import stamp
from trustdag.stats.estimators import Array

PART = "part:"
"""Prefix of the columns of parts; the name of a layer group follows."""
UNFINISHED = ".unfinished"
"""Folder beside the tables that holds the sums of an unfinished job."""


def attribute(task: AttributionTask, files: Results) -> None:
    """Computes and writes the scores of all verticals of a task.

    Verticals with equal settings share the passes over the training pairs. Their sums are kept beside the tables until
    the end: a killed job goes on from them. Where `accelerate launch` started several processes, they share the passes,
    and the first one writes.

    Raises:
        UserError: A file is missing, a setting does not fit the study, or another process has ended.
    """
    with processes_of_job() as processes:
        _attribute(task, files, processes)


def _attribute(task: AttributionTask, files: Results, processes: Processes) -> None:
    source = QuerySource(task, files)
    made_from = {vertical: inputs_of(task, files, vertical) for vertical in task.verticals}
    subject = Subject.load(task, files, processes)
    queries = processes.from_first(lambda: {vertical: source.query(vertical, subject) for vertical in task.verticals})
    rows, embeddings = identity(subject), Embeddings(subject)
    kept = Path(files.attribution(task.policy, "any")).parent / UNFINISHED
    for number, verticals in enumerate(alike(task)):
        working = processes_of(queries[verticals[0]].settings, processes)
        if working is None:
            continue
        key = key_of(task, files, {vertical: made_from[vertical] for vertical in verticals})
        passes = KeptPassSums(kept / str(number), key, subject.device, processes=working)
        tables, selection = scores_of(subject, [queries[vertical] for vertical in verticals], passes)
        for vertical, table in zip(verticals, tables, strict=True) if processes.is_first else ():
            own = queries[vertical]
            frame = pd.concat([rows, table, compared(subject, own, embeddings)], axis=1)
            frame.attrs["attribution"] = facts_of(own, selection, task)
            stamp(frame, made_from[vertical])
            write_table(Path(files.attribution(task.policy, vertical)), frame)
    if processes.is_first:
        remove(kept)


def processes_of(wanted: VerticalAttribution, processes: Processes) -> Processes | None:
    """The processes that share a method's passes, as one of them sees them; None for one that has no share.

    A training goes step by step, each from the state that the last one left, so that the first process alone
    differentiates it.
    """
    if wanted.method != "unrolled" or processes.count == 1:
        return processes
    print("attribution: unrolled is computed by one process; the others wait", file=sys.stderr)
    return ALONE if processes.is_first else None


def inputs_of(task: AttributionTask, files: Results, vertical: str) -> dict[str, str]:
    """What one vertical's table is made from, for its stamp.

    Args:
        task: The job.
        files: The study's files.
        vertical: The vertical.
    """
    return {
        "model": model_digest(Path(files.model(task.trained, "model"))),
        "data": sha256_file(Path(files.data(task.preferences, "train.parquet"))),
        "records": sha256_file(Path(files.records(task.policy, vertical))),
        "settings": task.verticals[vertical].attribution.as_json(),
    }


def key_of(task: AttributionTask, files: Results, made_from: dict[str, dict[str, str]]) -> str:
    """Names all that kept sums follow from: the job, its files, and our code.

    Args:
        task: The job.
        files: The study's files.
        made_from: By vertical, what its table is made from.
    """
    others = [task.start, *([task.ppo.reference] if task.ppo else [])]
    references = [
        (vertical, policy)
        for vertical in made_from
        for policy in (task.verticals[vertical].reference, task.ppo.reference if task.ppo else None)
        if policy is not None
    ]
    return sha256_text(
        [
            task.as_json(),
            json.dumps(made_from, sort_keys=True),
            *(model_digest(Path(files.model(model, "model"))) for model in others),
            *(sha256_file(Path(files.records(policy, vertical))) for vertical, policy in references),
            code_of("attribution.run", *(f"verticals.{vertical}" for vertical in made_from)),
            str(use_threads()),
        ]
    )


def alike(task: AttributionTask) -> list[list[str]]:
    """Groups of verticals with equal method settings, in order."""
    groups: dict[str, list[str]] = {}
    for vertical, asked in task.verticals.items():
        shared = asked.attribution.model_dump(exclude={"stages", "metric", "query", "against", "samples"})
        groups.setdefault(json.dumps(shared, sort_keys=True), []).append(vertical)
    return list(groups.values())


def scores_of(
    subject: Subject, queries: Sequence[VerticalQuery], passes: PassSums
) -> tuple[list[pd.DataFrame], Selection]:
    """The scores of queries with the same method settings.

    Args:
        subject: The trained model and its pairs.
        queries: The queries.
        passes: What an interrupted computation goes on from.

    Returns:
        For each query a table of the pairs with `score`, `rank`, `standard_error` and a part for each layer group; and
        the layers that were selected.
    """
    wanted, processes = queries[0].settings, passes.processes
    replayed = wanted.method in ("tracin", "unrolled")
    subject = subject.in_double_precision() if replayed else subject
    groups = 1 if wanted.method == "unrolled" else wanted.groups
    selection = subject.selection(wanted)
    print(f"attribution of {subject.task.trained}: {wanted.method}, {selection}", file=sys.stderr)
    replay = subject.replay() if replayed else None
    view = subject.view(wanted, selection, processes)
    size = size_of(subject, selection, view, len(queries) * groups, len(replay.steps) if replay else 0)
    size = memory.with_block(wanted, replace(size, processes=processes.count))
    held, block = memory.check(wanted, size), size.block
    gradients = subject.gradients(selection, view, block, memory.keeps(wanted, size), processes)
    each = f" in each of {processes.count} processes" if processes.count > 1 else ""
    print(f"at most {held / 1e9:.3g} GB in addition to the model{each}, {block} pairs in a pass", file=sys.stderr)
    if replay is not None:
        *_, (_, state) = replay.run()
        print(f"the replay ends {replay.check(state.weights, subject.trained):.2g} away", file=sys.stderr)
    encoded = [query.encoded for query in queries]
    problem = Problem(gradients, lambda: gradients_of(gradients, encoded, groups, block, subject.pad), replay, passes)
    scores = method(wanted.method).score(problem, wanted)
    refuse_infinite(scores, wanted)
    return [table_of(scores, selection, number, groups) for number in range(len(queries))], selection


def refuse_infinite(scores: Scores, wanted: VerticalAttribution) -> None:
    """Raises UserError for scores that are no numbers, which cannot be ranked."""
    for name, table in scores.items():
        if not bool(table.isfinite().all()):
            small = "" if wanted.damping is None else f", or `damping: {wanted.damping:g}` is too small; raise it"
            raise UserError(
                f"attribution: {wanted.method}: scores of {name} are not finite: the model's gradients overflow{small}"
            )


def size_of(subject: Subject, selection: Selection, view: View, vectors: int, steps: int) -> memory.Size:
    """The input of the memory estimate.

    Args:
        subject: The trained model and its pairs.
        selection: The attributed layers.
        view: The features of a gradient.
        vectors: Queries, times the groups of each.
        steps: Optimizer steps of a replay; 0 without one.
    """
    sizes = [view.size(layer) for layer in selection.layers]
    linear = [layer.module.get_parameter("weight").shape for layer in selection.layers if layer.kind == "linear"]
    captured = sum(layer.widths for layer in selection.layers)
    return memory.Size(
        features=sum(sizes),
        largest=max(sizes),
        factors=sum(out**2 + (fan_in + 1) ** 2 for out, fan_in in linear),
        moments=0 if isinstance(view, FullView) else sum(size**2 for size in sizes),
        weights=selection.parameters,
        vectors=vectors,
        examples=len(subject.examples),
        layers=len(sizes),
        steps=steps,
        pass_of_pair=memory.numbers_of_pass(subject.model.config, subject.examples.longest, captured),
    )


def table_of(scores: Scores, selection: Selection, number: int, groups: int) -> pd.DataFrame:
    """One query's scores as a table.

    Args:
        scores: By layer, (pairs, queries x groups).
        selection: The layers.
        number: The query's number.
        groups: Groups of clusters; with 1 there is no standard error.
    """
    own = slice(number * groups, (number + 1) * groups)
    by_layer = {name: table[:, own].double().cpu().numpy() for name, table in scores.items()}
    pieces = np.sum(list(by_layer.values()), axis=0)
    total = pieces.sum(1)
    columns: dict[str, Any] = {
        "score": total,
        "rank": pd.Series(-total).rank(method="first").astype(int).to_numpy(),
        "standard_error": jackknife(pieces) if groups > 1 else np.full(len(total), np.nan),
    }
    for layer in selection.layers:
        part = by_layer[layer.name].sum(1)
        columns[PART + layer.group] = columns.get(PART + layer.group, 0.0) + part
    return pd.DataFrame(columns)


def identity(subject: Subject) -> pd.DataFrame:
    """The columns that identify the pair of each row."""
    return pd.DataFrame({"row": subject.pairs["row"], "prompt_id": subject.pairs["prompt_id"]})


def compared(subject: Subject, own: VerticalQuery, embeddings: Embeddings) -> pd.DataFrame:
    """The baselines' scores.

    Args:
        subject: The pairs.
        own: The query.
        embeddings: Embeds texts with the trained model.
    """
    pairs, weights = subject.pairs, own.query.texts["weight"].to_numpy(float)
    paired = len(subject.examples.replies) > 1
    prompts = [prompt[-1]["content"] for prompt in pairs["prompt"]]
    columns = ("chosen", "rejected") if paired else ("chosen",)
    documents = [[f"{prompt} {reply}" for prompt, reply in zip(prompts, pairs[name], strict=True)] for name in columns]
    texts = [f"{prompt} {reply}" for prompt, reply in zip(own.prompts, own.query.texts["reply"], strict=True)]
    rejected = pairs["rejected"].tolist() if paired else None
    scores: dict[str, Array] = {
        "random": baselines.random(len(pairs), own.settings.seed),
        "bm25": baselines.bm25(texts, weights, documents),
        "embedding": baselines.embedding(embeddings.of(own.encoded.examples)[0], weights, embeddings.of_pairs),
        "length": baselines.length(pairs["chosen"].tolist(), rejected),
    }
    return pd.DataFrame({name: scores[name] for name in baselines.NAMES})


def facts_of(own: VerticalQuery, selection: Selection, task: AttributionTask) -> dict[str, Any]:
    """What a table says of itself.

    Args:
        own: The vertical's query.
        selection: The layers that were attributed.
        task: The job.
    """
    return {
        "method": own.settings.method,
        "metric": own.query.metric,
        "query": own.query.kind,
        "value": own.query.value,
        "standard_error": own.query.standard_error,
        "texts": len(own.query.texts),
        "layers": str(selection),
        "trained": task.trained,
        "preferences": task.preferences,
    }
