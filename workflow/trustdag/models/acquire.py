"""Models that exist already: from the hub or a local folder into a study's model folder."""

from pathlib import Path
from typing import Any

from trustdag import hub
from trustdag.errors import UserError
from trustdag.models.base import TAKEN, Folder, Hub, Kind
from trustdag.models.dialogue import PromptFormat
from trustdag.models.folder import copy_model
from trustdag.models.load import check_kind, load_policy, load_reward, load_tokenizer


def from_folder(settings: Folder, prompt_format: PromptFormat, out: Path) -> None:
    """Takes a local model into `out`. Raises UserError if it cannot be used, saying why."""
    made_by = {"settings": settings.model_dump(mode="json"), "inputs": {}}
    _take(Path(settings.path), settings.kind, prompt_format, out, made_by)


def from_hub(settings: Hub, prompt_format: PromptFormat, out: Path) -> None:
    """Takes a model of the hub at its pinned commit into `out`, through the hub's own cache.

    Raises UserError if the hub or the model cannot be reached.
    """
    folder = hub.model_folder(
        settings.name, settings.revision, TAKEN, "give a local copy as `source: folder` with its `path`"
    )
    made_by = {"settings": settings.model_dump(mode="json"), "inputs": {}}
    _take(folder, settings.kind, prompt_format, out, made_by)


def _take(folder: Path, kind: Kind, prompt_format: PromptFormat, out: Path, made_by: dict[str, Any]) -> None:
    """Loads the model once, so that what cannot be used is refused here and not hours later."""
    tokenizer = load_tokenizer(folder)
    model = load_policy(folder) if kind == "policy" else load_reward(folder)
    check_kind(folder, kind)
    if model.get_input_embeddings().num_embeddings < len(tokenizer):
        raise UserError(
            f"{folder}: the tokenizer has {len(tokenizer)} tokens, the model only embeds "
            f"{model.get_input_embeddings().num_embeddings}: they do not belong together"
        )
    if prompt_format == "chat" and not tokenizer.chat_template:
        raise UserError(f"{folder}: the tokenizer has no chat template; ask this model in format `hh` or `plain`")
    copy_model(folder, out, kind=kind, prompt_format=prompt_format, parameters=model.num_parameters(), made_by=made_by)
    (out / "metrics.jsonl").write_text("", encoding="utf-8")
