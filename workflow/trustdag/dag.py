"""The study as a graph: which models are trained from which, and which of them are evaluated. Pure: no file is touched."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from trustdag.align import methods
from trustdag.config.study import Study
from trustdag.stats.study import Cells, Policy


@dataclass(frozen=True)
class Node:
    """A model of the study: given (`MODEL/CHAIN`, the base's chain is `base`) or trained (`MODEL/PREFERENCES/CHAIN/seedN`)."""

    model: str
    chain: tuple[str, ...]
    preferences: str | None = None
    seed: int | None = None

    @property
    def id(self) -> str:
        """The model's folder below `models/`, and its replies' and records' below theirs."""
        chain = "-".join(self.chain) or "base"
        if self.preferences is None:
            return f"{self.model}/{chain}"
        return f"{self.model}/{self.preferences}/{chain}/seed{self.seed}"


@dataclass(frozen=True)
class Cell:
    """One evaluated model under the name that its recipe gives it."""

    recipe: str
    node: Node


def node_at(study: Study, model: str, preferences: str | None, chain: tuple[str, ...], seed: int | None) -> Node:
    """The node of a chain: a given checkpoint or the base where there is one, which no preference set or seed changes."""
    if not chain or "-".join(chain) in study.models[model].checkpoints:
        return Node(model, chain)
    return Node(model, chain, preferences, seed)


def cells(study: Study) -> list[Cell]:
    """Every evaluated model, once: recipes in the study's order within each model, preference set and seed."""
    found: dict[Cell, None] = {}
    for model in study.models:
        for preferences in study.preferences:
            for seed in study.seeds:
                for recipe, chain in study.recipes.items():
                    found[Cell(recipe, node_at(study, model, preferences, tuple(chain), seed))] = None
    return list(found)


def parents(study: Study, node: Node) -> dict[str, Node]:
    """The models that a trained node starts from, by role: for each role required, the last stage before that makes it."""
    roles: tuple[str, ...] = methods()[study.stages[node.chain[-1]].method].REQUIRES
    return {role: _last_that_makes(study, node, role) for role in roles}


def _last_that_makes(study: Study, node: Node, role: str) -> Node:
    for end in range(len(node.chain) - 1, 0, -1):
        if methods()[study.stages[node.chain[end - 1]].method].PRODUCES == role:
            return node_at(study, node.model, node.preferences, node.chain[:end], node.seed)
    return Node(node.model, ())


def closure(study: Study) -> list[Node]:
    """Every model that the evaluated ones need, parents before children."""
    found: dict[Node, None] = {}

    def visit(node: Node) -> None:
        if node.preferences is not None:
            for parent in parents(study, node).values():
                visit(parent)
        found[node] = None

    for cell in cells(study):
        visit(cell.node)
    return list(found)


def base_source(study: Study, node: Node) -> Any:
    """Where a given node comes from: the settings of the base model or of the checkpoint that stands for the chain."""
    entry = study.models[node.model]
    return entry.checkpoints["-".join(node.chain)] if node.chain else entry.base


def methods_used(study: Study) -> list[str]:
    """The training methods that a trained model of the study needs: the names of its training rules."""
    used = {study.stages[node.chain[-1]].method for node in closure(study) if node.preferences is not None}
    return sorted(used)


def chain_pattern(study: Study, method: str) -> str:
    """A regular expression of the chains whose last stage is trained by `method`."""
    chains = {
        "-".join(node.chain)
        for node in closure(study)
        if node.preferences is not None and study.stages[node.chain[-1]].method == method
    }
    return "|".join(map(re.escape, sorted(chains)))


def node_settings(study: Study, node: Node) -> Any:
    """The settings with which a trained node's last stage is trained."""
    return study.stage_settings(node.model, node.chain[-1])


def references(study: Study, cell: Cell) -> Iterator[tuple[str, Node]]:
    """What a cell is compared with, where the study evaluates it: the base model, and its chain's SFT."""
    node, evaluated = cell.node, {other.node for other in cells(study)}
    base = Node(node.model, ())
    if node.chain and base in evaluated:
        yield "base", base
    for end in range(1, len(node.chain)):
        if study.stages[node.chain[end - 1]].method == "sft":
            sft = node_at(study, node.model, node.preferences, node.chain[:end], node.seed)
            if sft in evaluated:
                yield "sft", sft
            return


def comparisons(study: Study) -> Cells:
    """What statistics, plots and the report need to know of the study: its policies and what each is compared with."""
    policies = []
    for cell in cells(study):
        node, compared = cell.node, dict(references(study, cell))
        policies.append(
            Policy(
                policy=node.id,
                model=node.model,
                preferences=node.preferences,
                recipe=cell.recipe,
                seed=node.seed,
                reference_base=compared["base"].id if "base" in compared else None,
                reference_sft=compared["sft"].id if "sft" in compared else None,
                methods=tuple(study.stages[stage].method for stage in node.chain),
            )
        )
    return Cells(
        study=study.name, notice=study.notice, policies=tuple(policies), verticals=tuple(study.verticals_measured())
    )
