"""The study as a graph: which models are trained from which, and which are evaluated. No file is written."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trustdag.align import methods
from trustdag.artifacts import sha256_text
from trustdag.config.study import Study
from trustdag.data import sources
from trustdag.fingerprint import code_of
from trustdag.models import base
from trustdag.stats.study import Cells, Policy
from trustdag.verticals import verticals


@dataclass(frozen=True)
class Node:
    """A model: given (`MODEL/CHAIN`; the base: `MODEL/base`) or trained (`MODEL/PREFERENCES/CHAIN/seedN`)."""

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
    """The node of a chain: the base or a given checkpoint, which no preferences or seed change, or a trained one."""
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
    """The models that a trained node starts from, by role: each made by the last stage before that makes such a one."""
    roles: tuple[str, ...] = methods()[study.stages[node.chain[-1]].method].REQUIRES
    return {role: _last_that_makes(study, node, role) for role in roles}


def _last_that_makes(study: Study, node: Node, role: str) -> Node:
    for end in range(len(node.chain) - 1, 0, -1):
        made: str = methods()[study.stages[node.chain[end - 1]].method].PRODUCES
        if made == role:
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


def item_files(study: Study, vertical: str) -> list[str]:
    """The local files that a vertical's items are read from: what its module's `files(settings)` says, if it has one.

    Raises UserError for what is missing.
    """
    module, settings = verticals()[vertical], study.verticals_measured()[vertical]
    return [str(path) for path in module.files(settings.items)] if hasattr(module, "files") else []


def corpus_needed(study: Study, node: Node) -> str | None:
    """The preference set whose corpus a model trained from scratch reads; None for any other."""
    return getattr(base_source(study, node), "corpus", None)


def model_files(study: Study, node: Node) -> list[str]:
    """The local files that a given node is read from: none for the hub or a model trained from scratch.

    Raises UserError for what is missing.
    """
    source = base_source(study, node)
    return [str(path) for path in base.model_files(Path(source.path))] if isinstance(source, base.Folder) else []


def sampling(study: Study, vertical: str) -> str:
    """A digest (8 hexadecimal digits) of how a vertical's replies are sampled, and of the code that does it."""
    settings = study.verticals_measured()[vertical].generate
    # The size of a batch changes no reply.
    return sha256_text([settings.model_dump_json(exclude={"batch_tokens"}), code_of("generate.run")])[:8]


def given(study: Study) -> list[Node]:
    """The models that come from elsewhere: neither trained from scratch nor by a stage of the study."""
    return [node for node in closure(study) if node.preferences is None and corpus_needed(study, node) is None]


def preferences_used(study: Study) -> list[str]:
    """The preference sets that some model of the study is trained on."""
    nodes = closure(study)
    trained_on = {node.preferences for node in nodes} | {
        corpus_needed(study, node) for node in nodes if node.preferences is None
    }
    return [name for name in study.preferences if name in trained_on]


def preference_files(study: Study, preferences: str) -> list[str]:
    """The local files that a preference set is read from: none for the hub or a generated world.

    Raises UserError for what is missing.
    """
    settings = study.preferences[preferences]
    if getattr(settings, "path", None) is None:
        return []
    return [str(path) for path in sources()[settings.source].files(settings).values()]


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


def node_settings(study: Study, node: Node) -> str:
    """The settings with which a trained node's last stage is trained, as `trustdag align --settings` reads them."""
    settings = study.stage_settings(node.model, node.chain[-1])
    return json.dumps(settings.model_dump(mode="json", exclude={"method"}), sort_keys=True)


def references(study: Study, node: Node) -> dict[str, Node]:
    """What an evaluated node is compared with: the base model, and the SFT of its own chain."""
    found = {"base": Node(node.model, ())} if node.chain else {}
    for end in range(1, len(node.chain)):
        if study.stages[node.chain[end - 1]].method == "sft":
            return found | {"sft": node_at(study, node.model, node.preferences, node.chain[:end], node.seed)}
    return found


def comparisons(study: Study) -> Cells:
    """What statistics, plots and the report need to know of the study: its policies and what each is compared with."""
    evaluated = cells(study)
    nodes = {cell.node for cell in evaluated}
    policies = []
    for cell in evaluated:
        node = cell.node
        compared = {name: other for name, other in references(study, node).items() if other in nodes}
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
