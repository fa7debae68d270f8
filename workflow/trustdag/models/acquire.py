"""Copies existing models (from the hub, a local folder or a GGUF file) into a study's model folder."""

import inspect
import json
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from trustdag import hub
from trustdag.errors import UserError, first_line
from trustdag.models.base import TAKEN, Folder, Gguf, Hub
from trustdag.models.dialogue import PromptFormat, check_template
from trustdag.models.folder import copy_model, write_model
from trustdag.models.load import load_policy, load_reward, load_tokenizer
from trustdag.models.size import Memory, check_loads
from trustdag.models.weights import check_weight_files, require_causal, require_finite

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def acquire(settings: Hub | Folder | Gguf, prompt_format: PromptFormat, out: Path) -> None:
    """Makes a model folder from an existing model.

    The model is loaded once, so that an unusable model is refused here and not hours later.

    Args:
        settings: Source of the model.
        prompt_format: Prompt format of the model.
        out: Folder of the new model/, manifest.json and metrics.jsonl.

    Raises:
        UserError: The model cannot be fetched or cannot be used.
    """
    if isinstance(settings, Gguf):
        _take_gguf(settings, prompt_format, out)
    elif isinstance(settings, Hub):
        instead = "give a local copy as `source: folder` with its `path`"
        _take_folder(hub.model_folder(settings.name, settings.revision, TAKEN, instead), settings, prompt_format, out)
    else:
        _take_folder(Path(settings.path), settings, prompt_format, out)
    (out / "metrics.jsonl").write_text("", encoding="utf-8")


@dataclass(frozen=True)
class Opened:
    """A model folder that can be used."""

    folder: Path
    model: "PreTrainedModel"
    tokenizer: "PreTrainedTokenizerBase"
    template: str | None
    """The chat template with `template_arguments`; None without any."""


def open_structure(settings: Folder, prompt_format: PromptFormat) -> Opened:
    """A local model without the values of its weights. Raises UserError for all that `acquire` refuses in a folder.

    Memory alone is not checked, as the model may be used on another machine.
    """
    return _open(Path(settings.path), settings, prompt_format, device="meta")


def _take_folder(folder: Path, settings: Hub | Folder, prompt_format: PromptFormat, out: Path) -> None:
    check_weight_files(folder)
    check_loads(folder, Memory.of_machine())
    opened = _open(folder, settings, prompt_format)
    require_finite(folder, opened.model)
    if settings.kind == "policy":
        require_causal(folder, opened.model)
    copy_model(
        folder, out, kind=settings.kind, prompt_format=prompt_format, parameters=opened.model.num_parameters(),
        made_by=_made_by(settings), template=opened.template,
    )  # fmt: skip


def _open(folder: Path, settings: Hub | Folder, prompt_format: PromptFormat, device: str | None = None) -> Opened:
    tokenizer = load_tokenizer(folder)
    load = load_policy if settings.kind == "policy" else load_reward
    model = load(folder, device=device)
    template = _with_arguments(settings, tokenizer)
    _check(folder, model, tokenizer, prompt_format)
    return Opened(folder, model, tokenizer, template)


def _take_gguf(settings: Gguf, prompt_format: PromptFormat, out: Path) -> None:
    from trustdag.models.gguf import load_gguf

    model, tokenizer = load_gguf(settings.file, settings.sha256)
    _with_arguments(settings, tokenizer)
    _check(settings.file, model, tokenizer, prompt_format)
    require_finite(settings.file, model)
    write_model(
        out, model, tokenizer, kind="policy", prompt_format=prompt_format, made_by=_made_by(settings),
        facts={"weights": f"a dequantised copy of {settings.file.name}"},
    )  # fmt: skip


def _made_by(settings: Hub | Folder | Gguf) -> dict[str, Any]:
    return {"settings": settings.model_dump(mode="json"), "inputs": {}}


def _with_arguments(settings: Hub | Folder | Gguf, tokenizer: "PreTrainedTokenizerBase") -> str | None:
    """Sets `template_arguments` in the tokenizer's chat template; returns the new template, or None without any.

    They become part of the model, so that training, generation and scoring render prompts alike.
    """
    if not settings.template_arguments:
        return None
    template = tokenizer.chat_template
    if not isinstance(template, str):
        raise UserError(f"template_arguments: {tokenizer.name_or_path} has no single chat template to pass them to")
    unknown = [name for name in settings.template_arguments if name not in template]
    if unknown:
        raise UserError(f"template_arguments: the chat template of {tokenizer.name_or_path} reads no {unknown[0]}")
    values = {name: json.dumps(value) for name, value in settings.template_arguments.items()}
    tokenizer.chat_template = "".join(f"{{% set {name} = {value} %}}" for name, value in values.items()) + template
    return tokenizer.chat_template


def _check(
    source: Path, model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase", prompt_format: PromptFormat
) -> None:
    """Raises UserError for faults that would fail a later job: tokens without embedding, no cache, template, saving."""
    if model.get_input_embeddings().num_embeddings < len(tokenizer):
        raise UserError(
            f"{source}: the tokenizer has {len(tokenizer)} tokens, the model only embeds "
            f"{model.get_input_embeddings().num_embeddings}: they do not belong together"
        )
    if "past_key_values" not in inspect.signature(model.forward).parameters:
        raise UserError(
            f"{source}: {type(model).__name__} keeps no key-value cache (a recurrent model), which generation needs; "
            "take a transformer"
        )
    if prompt_format == "chat":
        check_template(tokenizer)
    try:
        with TemporaryDirectory() as folder:
            model.config.save_pretrained(folder)
            if model.can_generate():
                model.generation_config.save_pretrained(folder)
            tokenizer.save_pretrained(folder)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise UserError(
            f"{source}: transformers cannot save its configuration or tokenizer again, as training must "
            f"({first_line(error)})"
        ) from error
