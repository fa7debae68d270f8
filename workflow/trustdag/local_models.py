"""Checks of a study's models and items on this machine with transformers: what a job would refuse, hours later.

It takes seconds, so `trustdag check` does it, and Snakemake does not.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from trustdag import dag
from trustdag.errors import UserError

if TYPE_CHECKING:
    from trustdag.config.study import Study
    from trustdag.layout import ModelId
    from trustdag.models.acquire import Opened

HERE = "too large for this machine"


def check(study: "Study") -> None:
    """Raises UserError for a model on this machine that a job refuses, alone, with a stage's settings or with items.

    Says on stderr what this machine's memory does not hold, because the jobs may run on another one, and how many items
    are too long for a model.
    """
    from trustdag.models.logging_setup import hide_library_messages

    external = dag.external_models(study)
    if not external:
        return
    hide_library_messages()
    opened = {model_id: model for model_id in external if (model := _open(study, model_id))}
    notes = [note for model_id, model in opened.items() for note in _beyond_memory(model_id, model)]
    for model_id in dag.models_needed(study):
        if model_id.is_trained:
            notes += _check_stage(study, model_id, opened)
    asked = {
        root: opened[root] for entry in dag.evaluated_models(study) if (root := dag.root(study, entry.model)) in opened
    }
    for vertical in study.verticals_measured() if asked else ():
        notes += _check_vertical(study, vertical, asked)
    for note in dict.fromkeys(notes):
        print(note, file=sys.stderr)


def _key(model_id: "ModelId") -> str:
    """The key of an external model in the study."""
    return f"models.{model_id.model}.{f'checkpoints.{model_id.chain_name}' if model_id.chain else 'base'}"


def _open(study: "Study", model_id: "ModelId") -> "Opened | None":
    from trustdag.models.acquire import open_structure

    with _named(f"{_key(model_id)}: "):
        return open_structure(dag.base_source(study, model_id), study.models[model_id.model].prompt_format)


def _beyond_memory(model_id: "ModelId", model: "Opened") -> Iterator[str]:
    """A sentence if the weights alone do not fit in this machine's memory."""
    from trustdag.models.size import Memory, check_loads

    try:
        check_loads(model.source, model.parameters, Memory.of_machine())
    except UserError as error:
        yield f"{HERE}: {_key(model_id)}: {error}"


def _check_stage(study: "Study", model_id: "ModelId", opened: dict["ModelId", "Opened"]) -> Iterator[str]:
    """Raises UserError for settings of a trained model's last stage that do not fit the models that it starts from.

    Yields a sentence if its state does not fit in this machine's memory.
    """
    from trustdag.models.load import check_can_score, check_length
    from trustdag.rl.checks import check_reward_model
    from trustdag.rl.model import train_top_layers

    stage, parents = model_id.chain[-1], dag.parents(study, model_id)
    settings = study.stage_settings(model_id.model, stage)
    start = opened.get(dag.root(study, parents["policy"]))
    reward = opened.get(parents["reward"]) if "reward" in parents else None
    with _named(f"stages.{stage}."):
        for read in filter(None, (start, reward)):
            check_length(read.source, read.model.config, settings.max_length)
        if start is not None and getattr(settings, "top_layers", None) is not None:
            train_top_layers(start.model, settings.top_layers)
    if start is not None and settings.method == "reward":
        with _named(f"stages.{stage}: "):
            check_can_score(start.source, start.model.config)
    if start is not None and reward is not None:
        with _named(f"stages.{stage}: "):
            check_reward_model(reward.model, reward.tokenizer, start.model, start.tokenizer)
    if start is not None:
        try:
            _check_state(start, settings)
        except UserError as error:
            yield f"{HERE}: stages.{stage}: {error}"


def _check_state(start: "Opened", settings: Any) -> None:
    """Raises UserError if a stage's weights, gradients and optimizer state do not fit in this machine's memory."""
    from trustdag.align import methods
    from trustdag.train.capacity import ForwardPass, StageSize, check_state, stage_memory

    forward = ForwardPass(1, settings.max_length, bool(settings.gradient_checkpointing))
    trunks = methods()[settings.method].cost(settings, 1).trained
    size = StageSize.of(start.model.config, start.parameters, settings, forward, trunks)
    check_state(start.source, settings.method, size, stage_memory())


def _check_vertical(study: "Study", vertical: str, models: dict["ModelId", "Opened"]) -> Iterator[str]:
    """Raises UserError for replies that leave no room for a prompt, and for items that cannot be read or asked.

    Items that would have to be fetched, and those of a plugin, are not read. Yields a sentence for each model for which
    some items are too long.
    """
    from trustdag.generation.context_fit import ContextFit
    from trustdag.models.load import check_new_tokens, context_length
    from trustdag.verticals import shipped_verticals, verticals
    from trustdag.verticals.sources.base import BenchmarkItems

    settings = study.verticals_measured()[vertical]
    for model in models.values():
        with _named(f"verticals.{vertical}.generate."):
            check_new_tokens(model.source, model.model.config, settings.generate.max_new_tokens)
    if vertical not in shipped_verticals() or (
        isinstance(settings.items, BenchmarkItems) and not settings.items.is_here()
    ):
        return
    with _named(f"verticals.{vertical}.items: "):
        items = verticals()[vertical].items(settings.items)
    for model_id, model in models.items():
        prompt_format, context = study.models[model_id.model].prompt_format, context_length(model.model.config)
        with _named(f"verticals.{vertical}: "):
            lengths = ContextFit.of(items, model.tokenizer, prompt_format, settings.generate, context)
            if said := lengths.sentence(model.source, context):
                yield f"verticals.{vertical}: {said}"


@contextmanager
def _named(key: str) -> Iterator[None]:
    """Puts the key before the message of a UserError."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{key}{error}") from error
