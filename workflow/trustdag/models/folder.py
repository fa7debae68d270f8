"""Writes a model folder with its manifest and card, atomically."""

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trustdag.artifacts import atomic_folder, manifest, provenance, write_digest, write_json
from trustdag.models.base import Kind, model_files
from trustdag.models.dialogue import PromptFormat
from trustdag.seals import REMEMBERED, remember

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def write_model(
    out: Path,
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    *,
    kind: Kind,
    prompt_format: PromptFormat,
    made_by: dict[str, Any],
    facts: dict[str, Any],
    state_dict: "dict[str, torch.Tensor] | None" = None,
) -> None:
    """Writes `out`/model (safetensors, tokenizer, README.md) and, last, `out`/manifest.json and `out`/digest.txt.

    Args:
        out: Folder of the new model/ and manifest.json.
        model: The model.
        tokenizer: Its tokenizer.
        kind: Kind of the model.
        prompt_format: Prompt format of the model.
        made_by: Everything that the model depends on: settings, digests of the inputs, seed.
        facts: Measurements: examples used and dropped, final losses.
        state_dict: Weights to write instead of the model's own; None: its own.
    """
    made_by = {**made_by, "provenance": provenance()}
    with atomic_folder(out / "model") as partial:
        model.save_pretrained(str(partial), state_dict=state_dict)
        tokenizer.save_pretrained(str(partial))
        (partial / "README.md").write_text(
            card(kind, model.num_parameters(), prompt_format, made_by, facts), encoding="utf-8"
        )
    _write_manifest(out, kind, model.num_parameters(), prompt_format, made_by, facts)


def copy_model(
    source: Path,
    out: Path,
    *,
    kind: Kind,
    prompt_format: PromptFormat,
    parameters: int,
    made_by: dict[str, Any],
    template: str | None,
) -> None:
    """Makes `out`/model from an existing folder: links the weights and copies the other files.

    Args:
        source: The existing model folder.
        out: Folder of the new model/ and manifest.json.
        kind: Kind of the model.
        prompt_format: Prompt format of the model.
        parameters: Number of its weights.
        made_by: The settings that identify the model.
        template: A chat template to write instead of the model's own; None: its own.
    """
    made_by = {**made_by, "provenance": provenance()}
    with atomic_folder(out / "model") as partial:
        for path in model_files(source):
            if path.suffix == ".safetensors":
                (partial / path.name).symlink_to(path.resolve())
            else:
                shutil.copyfile(path, partial / path.name)
        if template is not None:
            (partial / "chat_template.jinja").write_text(template, encoding="utf-8")
        (partial / "README.md").write_text(card(kind, parameters, prompt_format, made_by, {}), encoding="utf-8")
    _write_manifest(out, kind, parameters, prompt_format, made_by, {})


def _write_manifest(
    out: Path, kind: Kind, parameters: int, prompt_format: PromptFormat, made_by: dict[str, Any], facts: dict[str, Any]
) -> None:
    content = manifest(
        out / "model", kind=kind, parameters=parameters, prompt_format=prompt_format, made_by=made_by, facts=facts
    )
    write_json(out / "manifest.json", content)
    remember(out / "model", content["files"], out / REMEMBERED)
    write_digest(out / "digest.txt", content["sha256"])


def card(
    kind: Kind, parameters: int, prompt_format: PromptFormat, made_by: dict[str, Any], facts: dict[str, Any]
) -> str:
    """The model card: kind of the model, prompt format, measurements, and everything that it depends on.

    Args:
        kind: kind of the model.
        parameters: number of its weights.
        prompt_format: prompt format of the model.
        made_by: the command, its settings and its inputs.
        facts: measurements.
    """
    title = {"policy": "Language model", "reward": "Reward model"}[kind]
    return "\n".join(
        [
            "---",
            "library_name: transformers",
            f"pipeline_tag: {'text-generation' if kind == 'policy' else 'text-classification'}",
            "---",
            f"# {title} of a trustdag study",
            "",
            f"- Parameters: {parameters:,}",
            f"- Prompt format: `{prompt_format}`",
            *(f"- {name.replace('_', ' ').capitalize()}: {_plain(value)}" for name, value in facts.items()),
            "",
            "## Made by",
            "",
            "```json",
            json.dumps(made_by, indent=2, sort_keys=True),
            "```",
            "",
        ]
    )


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_plain(item)}" for name, item in value.items()) or "none"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
