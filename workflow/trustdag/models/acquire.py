"""Copies existing models (from the hub, a local folder or a GGUF file) into a study's model folder."""

import inspect
import json
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from trustdag import hub
from trustdag.errors import UserError, first_line
from trustdag.models.base import TAKEN, Folder, Gguf, Hub, has_weights
from trustdag.models.dialogue import PromptFormat, check_template
from trustdag.models.folder import copy_model, write_model
from trustdag.models.load import has_vocabulary, load_policy, load_reward, load_tokenizer
from trustdag.models.size import SINGLE, Memory, check_loads, parameters_in_folder
from trustdag.models.weights import check_weight_files, require_causal, require_finite

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

VALUES = 1e9
"""Bytes of weights that `open_structure` reads, in about a second."""


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
        _take_folder(settings.folder, settings, prompt_format, out)
    (out / "metrics.jsonl").write_text("", encoding="utf-8")


SENTENCE = "No, I disagree with it."
"""A text that a tokenizer must reproduce."""


@dataclass(frozen=True)
class Opened:
    """A model that can be used."""

    source: Path
    """Its folder or GGUF file."""
    parameters: int
    model: "PreTrainedModel"
    tokenizer: "PreTrainedTokenizerBase"
    template: str | None
    """The chat template with `template_arguments`; None without any."""


def open_structure(settings: Hub | Folder | Gguf, prompt_format: PromptFormat) -> Opened | None:
    """A model on this machine without the values of its weights; None for one of the hub that is not in its cache.

    Raises UserError for what `acquire` refuses in it, except for memory, as the model may be used on another machine.
    The values of the weights are checked as well where they need at most `VALUES` bytes.
    """
    if isinstance(settings, Gguf):
        return _open_gguf(settings, prompt_format)
    if isinstance(settings, Folder):
        folder = settings.folder
    else:
        cached = hub.cached_model(settings.name, settings.revision, TAKEN)
        if cached is None or not (has_weights(cached) and has_vocabulary(cached)):
            return None
        folder = cached
    check_weight_files(folder)
    opened = _open(folder, settings, prompt_format, device="meta")
    if SINGLE * opened.parameters <= VALUES:
        _check_values(folder, settings, _open(folder, settings, prompt_format).model)
    return opened


def _take_folder(folder: Path, settings: Hub | Folder, prompt_format: PromptFormat, out: Path) -> None:
    check_weight_files(folder)
    check_loads(folder, parameters_in_folder(folder), Memory.of_machine())
    opened = _open(folder, settings, prompt_format)
    _check_values(folder, settings, opened.model)
    copy_model(
        folder, out, kind=settings.kind, prompt_format=prompt_format, parameters=opened.parameters,
        made_by=_made_by(settings), template=opened.template,
    )  # fmt: skip


def _check_values(folder: Path, settings: Hub | Folder, model: "PreTrainedModel") -> None:
    require_finite(folder, model)
    if settings.kind == "policy":
        require_causal(folder, model)


def _open(folder: Path, settings: Hub | Folder, prompt_format: PromptFormat, device: str | None = None) -> Opened:
    tokenizer = load_tokenizer(folder)
    load = load_policy if settings.kind == "policy" else load_reward
    model = load(folder, device=device)
    template = _with_arguments(settings, tokenizer)
    _check(folder, model, tokenizer, prompt_format)
    return Opened(folder, model.num_parameters(), model, tokenizer, template)


def _open_gguf(settings: Gguf, prompt_format: PromptFormat) -> Opened:
    from trustdag.models.gguf import check_gguf, gguf_structure

    check_gguf(settings.file, settings.sha256)
    model, tokenizer = gguf_structure(settings.file)
    template = _with_arguments(settings, tokenizer)
    _check(settings.file, model, tokenizer, prompt_format)
    return Opened(settings.file, model.num_parameters(), model, tokenizer, template)


def _take_gguf(settings: Gguf, prompt_format: PromptFormat, out: Path) -> None:
    from trustdag.models.gguf import check_gguf, load_gguf, parameters_in_gguf

    check_gguf(settings.file, settings.sha256)
    check_loads(settings.file, parameters_in_gguf(settings.file), Memory.of_machine())
    model, tokenizer = load_gguf(settings.file)
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
    values = {name: json.dumps(value, ensure_ascii=False) for name, value in settings.template_arguments.items()}
    tokenizer.chat_template = "".join(f"{{% set {name} = {value} %}}" for name, value in values.items()) + template
    return tokenizer.chat_template


def _check_round_trip(source: Path, tokenizer: "PreTrainedTokenizerBase") -> None:
    """Raises UserError for a tokenizer that tokenizes at random, or whose tokens are not decoded to the text.

    Case and white space may differ.
    """
    rows = {tuple(tokenizer(SENTENCE, add_special_tokens=False)["input_ids"]) for _ in range(8)}
    if len(rows) > 1:
        raise UserError(
            f"{source}: the tokenizer splits a text at random; set `dropout` to null in its model in tokenizer.json"
        )
    text = str(tokenizer.decode(rows.pop(), clean_up_tokenization_spaces=False))
    if "".join(text.lower().split()) != "".join(SENTENCE.lower().split()):
        raise UserError(
            f"{source}: the tokenizer decodes {SENTENCE!r} as {text!r:.60}, so replies could not be read; fetch its "
            "files again, or correct its decoder"
        )


def _check(
    source: Path, model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase", prompt_format: PromptFormat
) -> None:
    """Raises UserError for faults that would fail a later job: tokens without embedding, no cache, template, saving."""
    if model.get_input_embeddings().num_embeddings < len(tokenizer):
        raise UserError(
            f"{source}: the tokenizer has {len(tokenizer)} tokens, the model only embeds "
            f"{model.get_input_embeddings().num_embeddings}: they do not belong together"
        )
    _check_round_trip(source, tokenizer)
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
