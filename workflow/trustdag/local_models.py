"""Checks of a study's local models that read their folders with transformers: what a job would refuse, hours later.

The values of weights are not read. It takes seconds, so `trustdag check` does it, and Snakemake does not.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from trustdag import dag
from trustdag.errors import UserError
from trustdag.models.base import Folder

if TYPE_CHECKING:
    from trustdag.config.study import Study
    from trustdag.layout import ModelId
    from trustdag.models.acquire import Opened


def check(study: "Study") -> None:
    """Raises UserError for a local model that a job refuses, by itself or with a stage's or a vertical's settings."""
    local = [
        model_id for model_id in dag.external_models(study) if isinstance(dag.base_source(study, model_id), Folder)
    ]
    if not local:
        return
    from trustdag.models.logging_setup import hide_library_messages

    hide_library_messages()
    opened = {model_id: _open(study, model_id) for model_id in local}
    for model_id in dag.models_needed(study):
        if model_id.is_trained:
            _check_stage(study, model_id, opened)
    for evaluated in dag.evaluated_models(study):
        start = opened.get(dag.root(study, evaluated.model))
        if start is not None:
            _check_replies(study, start)


def _open(study: "Study", model_id: "ModelId") -> "Opened":
    from trustdag.models.acquire import open_structure

    key = f"checkpoints.{model_id.chain_name}" if model_id.chain else "base"
    with _named(f"models.{model_id.model}.{key}: "):
        return open_structure(dag.base_source(study, model_id), study.models[model_id.model].prompt_format)


def _check_stage(study: "Study", model_id: "ModelId", opened: dict["ModelId", "Opened"]) -> None:
    """Raises UserError for settings of a trained model's last stage that do not fit the models that it starts from."""
    from trustdag.models.load import check_length
    from trustdag.rl.checks import check_reward_model
    from trustdag.rl.model import train_top_layers

    stage, parents = model_id.chain[-1], dag.parents(study, model_id)
    settings = study.stage_settings(model_id.model, stage)
    start = opened.get(dag.root(study, parents["policy"]))
    reward = opened.get(parents["reward"]) if "reward" in parents else None
    with _named(f"stages.{stage}."):
        for read in filter(None, (start, reward)):
            check_length(read.folder, read.model.config, settings.max_length)
        if start is not None and getattr(settings, "top_layers", None) is not None:
            train_top_layers(start.model, settings.top_layers)
    if start is not None and reward is not None:
        with _named(f"stages.{stage}: "):
            check_reward_model(reward.model, reward.tokenizer, start.model, start.tokenizer)


def _check_replies(study: "Study", model: "Opened") -> None:
    """Raises UserError for replies of a vertical that leave no room for a prompt."""
    from trustdag.models.load import check_new_tokens

    for vertical, settings in study.verticals_measured().items():
        with _named(f"verticals.{vertical}.generate."):
            check_new_tokens(model.folder, model.model.config, settings.generate.max_new_tokens)


@contextmanager
def _named(key: str) -> Iterator[None]:
    """Puts the key before the message of a UserError."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{key}{error}") from error
