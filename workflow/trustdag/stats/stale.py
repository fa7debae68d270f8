"""Refuses replies, records, models, data and items that do not belong to the study's present state and settings."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from trustdag.artifacts import read_digest, sha256_file
from trustdag.errors import UserError
from trustdag.jsonfiles import AGAIN, EVERY, misfit, read_object
from trustdag.layout import ModelId, Results
from trustdag.settings import NO_RESULT
from trustdag.stamps import check, read_stamp
from trustdag.stats.design import StudyDesign

PLACES = frozenset({"path", "paths", "file"})
"""Keys that say where something lies, and not what it is: its digest says that."""

CONFIGURATION: Mapping[str, Any] = {
    "models?": {EVERY: {"base?": dict, "overrides?": {EVERY: dict}, "checkpoints?": {EVERY: dict}}},
    "preferences?": {EVERY: dict},
    "stages?": {EVERY: dict},
}


def check_records(design: StudyDesign, files: Results) -> None:
    """Raises UserError for records of another model or other items than the present ones."""
    for policy, vertical in _pairs(design):
        path = Path(files.records(policy, vertical))
        if made_from := read_stamp(path):
            check(path, made_from, _present(files, policy, vertical))


def check_replies(design: StudyDesign, files: Results) -> None:
    """Raises UserError for replies of another model or other items, and for records of other replies."""
    for policy, vertical in _pairs(design):
        replies, records = Path(files.replies(policy, vertical)), Path(files.records(policy, vertical))
        if made_from := read_stamp(replies):
            check(replies, made_from, _present(files, policy, vertical))
            check(records, read_stamp(records), {"replies": sha256_file(replies)})


def check_settings(design: StudyDesign, files: Results, configuration: dict[str, Any]) -> None:
    """Raises UserError for what was made with other settings than those of the configuration that the report shows.

    These are records, models with their parents, prepared data and items.

    Args:
        design: the study's policies and verticals.
        files: the study's paths.
        configuration: the configuration that the report shows.
    """
    measured = {f"{vertical}?": {"items?": dict} for vertical in design.verticals}
    _refuse_other(configuration, {**CONFIGURATION, "verticals?": measured})
    for policy, vertical in _pairs(design):
        path = Path(files.records(policy, vertical))
        if made_from := read_stamp(path):
            check(path, made_from, _settings(configuration, policy, vertical))
    for path, keys, present in _sections(design, files, configuration):
        _check_section(path, keys, present)


def _sections(
    design: StudyDesign, files: Results, configuration: dict[str, Any]
) -> Iterator[tuple[Path, tuple[str, ...], dict[str, Any]]]:
    """Each card and manifest of the study: the file, the path of the settings in it, and the present settings."""
    for vertical in design.verticals:
        section = configuration.get("verticals", {}).get(vertical, {})
        yield Path(files.items_card(vertical)), ("settings",), section.get("items", {})
    for name in {policy.preferences for policy in design.policies} - {None}:
        settings = configuration.get("preferences", {}).get(name, {})
        yield Path(files.data(str(name), "card.json")), ("settings",), settings
    for model_id in _with_parents(design):
        model = configuration.get("models", {}).get(model_id.model, {})
        if model_id.is_trained:
            stage = model_id.chain[-1]
            present = configuration.get("stages", {}).get(stage, {}) | model.get("overrides", {}).get(stage, {})
        else:
            present = model.get("checkpoints", {}).get(model_id.chain_name, {}) if model_id.chain else model.get("base")
        yield Path(files.model(model_id, "manifest.json")), ("made_by", "settings"), present or {}


def _with_parents(design: StudyDesign) -> list[ModelId]:
    """The models of all chains of the design: trained ones, base models and existing checkpoints."""
    models: dict[ModelId, None] = {}
    for policy in design.policies:
        model_id = ModelId.parse(policy.id)
        models |= dict.fromkeys([ModelId(model_id.model, ()), model_id])
        models |= dict.fromkeys(model_id.after(stages) for stages in range(1, len(model_id.chain)))
    return list(models)


def _check_section(path: Path, keys: tuple[str, ...], present: dict[str, Any]) -> None:
    """Raises UserError for a file whose settings differ from the present ones, in keys that both have."""
    made: Any = read_object(path, {}, "a card or manifest") if path.is_file() else {}
    for key in keys:
        made = made.get(key, {}) if isinstance(made, dict) else {}
    shared = set(made if isinstance(made, dict) else ()) & set(present)
    for key in sorted(shared - NO_RESULT - PLACES):
        if made[key] != present[key]:
            raise UserError(
                f"{path}: stale: made with {key} {json.dumps(made[key]):.80} and not {json.dumps(present[key]):.80}, as"
                f" the study says; delete {path.parent} and run snakemake again"
            )


def _pairs(design: StudyDesign) -> Iterator[tuple[str, str]]:
    for policy in design.policies:
        for vertical in design.verticals:
            yield policy.id, vertical


def _present(files: Results, policy: str, vertical: str) -> dict[str, str]:
    return {
        "model": _digest(Path(files.model(policy, "digest.txt"))),
        "items": _digest(Path(files.items_digest(vertical))),
    }


def _settings(configuration: dict[str, Any], policy: str, vertical: str) -> dict[str, str]:
    model = ModelId.parse(policy).model
    shape = {
        "verticals": {vertical: {"generate": dict, "score": dict}},
        "models": {model: {"prompt_format": str}},
    }
    _refuse_other(configuration, shape)
    section = configuration["verticals"][vertical]
    generate = {name: value for name, value in section["generate"].items() if name not in NO_RESULT}
    return {
        "generate": json.dumps(generate, sort_keys=True),
        "score": json.dumps(section["score"], sort_keys=True),
        "prompt_format": configuration["models"][model]["prompt_format"],
    }


def _refuse_other(configuration: dict[str, Any], shape: Mapping[str, Any]) -> None:
    if (wrong := misfit(configuration, shape)) is not None:
        raise UserError(f"configuration.json: damaged, or not this study's: {wrong}; {AGAIN}")


def _digest(path: Path) -> str:
    return read_digest(path)
