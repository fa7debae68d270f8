"""Checks over several keys: sizes that must agree, the length of file names, and names in `plan`."""

import re
from typing import Any

from trustdag.layout import BASE, chain_name, chain_of
from trustdag.models.base import Scratch
from trustdag.settings import mend_of_name
from trustdag.verticals import verticals

LONGEST_NAME = 50
STAGE_NAME = "[A-Za-z0-9][A-Za-z0-9_.]*"
"""Stages are joined by hyphens to the name of a chain."""
LONGEST_CHAIN = 80
"""Characters. A job's record is named by model, preference set, chain, seed and vertical; a file's name has 255."""


def check(study: Any) -> None:
    """Raises ValueError, with the key, for values of a `Study` that would fail a later job."""
    if not study.verticals_measured():
        raise ValueError(f"verticals: none is measured; name at least one of {', '.join(verticals())}")
    for recipe, chain in study.recipes.items():
        for stage in chain:
            if chain_of(stage) != (stage,) or not re.fullmatch(STAGE_NAME, stage):
                raise ValueError(
                    f"recipes.{recipe}: {stage!r:.60} names no stage: not `{BASE}`, and letters, digits, `_` and `.`"
                    " alone; rename it"
                )
        if len(chain_name(chain)) > LONGEST_CHAIN:
            raise ValueError(
                f"recipes.{recipe}: the names of its stages have more than {LONGEST_CHAIN} characters together, too"
                " many for a file's name; shorten them"
            )
    for name, model in study.models.items():
        if isinstance(model.base, Scratch) and not model.checkpoints:
            _check_context(study, name, model.base)
    _check_plan(study)


def _check_context(study: Any, model: str, base: Scratch) -> None:
    """Raises ValueError for texts longer than the context of a model from scratch, and for layers that it lacks."""
    for stage in {stage for chain in study.recipes.values() for stage in chain}:
        settings = study.stage_settings(model, stage)
        if settings.max_length > base.context:
            raise ValueError(
                f"stages.{stage}.max_length: {settings.max_length} tokens do not fit the context of {model}"
                f" (models.{model}.base.context: {base.context}); lower one or raise the other"
            )
        top_layers = getattr(settings, "top_layers", None)
        if top_layers is not None and top_layers > base.layers:
            raise ValueError(f"stages.{stage}.top_layers: {top_layers}, but {model} has {base.layers} layers")
    for vertical, measured in study.verticals_measured().items():
        longest = measured.generate.max_new_tokens
        if longest >= base.context:
            raise ValueError(
                f"verticals.{vertical}.generate.max_new_tokens: {longest} leaves no room for a prompt in the context"
                f" of {model} (models.{model}.base.context: {base.context}); lower it"
            )


def _check_plan(study: Any) -> None:
    """Raises ValueError for the weight of a name that the study does not have."""
    known: dict[str, Any] = {
        "models": study.models,
        "recipes": study.recipes,
        "preferences": study.preferences,
        "verticals": verticals(),
    }
    for section, names in known.items():
        for name in getattr(study.plan, section):
            if name not in names:
                raise ValueError(f"plan.{section}.{name}: {mend_of_name(name, names, 'the study')}")
