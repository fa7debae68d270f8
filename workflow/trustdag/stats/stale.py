"""Refuses replies and records that do not belong to the study's present models, items and settings."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trustdag.artifacts import read_digest, sha256_file
from trustdag.errors import UserError
from trustdag.jsonfiles import AGAIN, misfit
from trustdag.layout import ModelId, Results
from trustdag.settings import NO_RESULT
from trustdag.stamps import check, read_stamp
from trustdag.stats.design import StudyDesign


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
    """Raises UserError for records made with other settings than those of the configuration that the report shows.

    Args:
        design: the study's policies and verticals.
        files: the study's paths.
        configuration: the configuration that the report shows.
    """
    for policy, vertical in _pairs(design):
        path = Path(files.records(policy, vertical))
        if made_from := read_stamp(path):
            check(path, made_from, _settings(configuration, policy, vertical))


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
    if (wrong := misfit(configuration, shape)) is not None:
        raise UserError(f"configuration.json: damaged, or not this study's: {wrong}; {AGAIN}")
    section = configuration["verticals"][vertical]
    generate = {name: value for name, value in section["generate"].items() if name not in NO_RESULT}
    return {
        "generate": json.dumps(generate, sort_keys=True),
        "score": json.dumps(section["score"], sort_keys=True),
        "prompt_format": configuration["models"][model]["prompt_format"],
    }


def _digest(path: Path) -> str:
    return read_digest(path)
