"""The base of every typed configuration section."""

import json
from collections.abc import Iterator
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError


class Section(BaseModel):
    """A configuration section: immutable, unknown keys refused, each field documented where it is defined.

    `use_attribute_docstrings` turns the string below a field into its description, which the JSON schema and the
    reference table in the docs are generated from.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, validate_default=True)

    def as_json(self) -> str:
        """The section as JSON with sorted keys: equal settings give equal text, so it suits a rule's params."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The section from `as_json`'s text."""
        return cls.model_validate_json(text)


def explain(error: ValidationError, origin: str, value: Any = None) -> str:
    """A validation error of `value` as lines of `file: key: what is wrong (got what)`."""
    return "\n".join(f"{origin}: {_complaint(detail, value)}" for detail in error.errors())


def _complaint(detail: Any, value: Any) -> str:
    key = ".".join(_written(detail["loc"], value, detail["type"] in ("missing", "extra_forbidden")))
    if detail["type"] == "extra_forbidden":
        return f"{key}: unknown key; remove it or correct its spelling"
    if detail["type"] in ("union_tag_invalid", "union_tag_not_found"):
        choice = detail["ctx"]["discriminator"].strip("'")
        return _complaint_of_choice(f"{key}.{choice}" if key else choice, detail["ctx"])
    wrong = detail["msg"].removeprefix("Value error, ")
    got = "" if isinstance(detail["input"], dict) else f" (got {detail['input']!r:.100})"
    return f"{key}: {wrong}{got}" if key else f"{wrong}{got}"


def _complaint_of_choice(key: str, context: dict[str, Any]) -> str:
    if "tag" not in context:
        return f"{key}: Field required"
    return f"{key}: Input should be one of {context['expected_tags']} (got {context['tag']!r})"


def _written(loc: tuple[int | str, ...], value: Any, ends_with_key: bool) -> Iterator[str]:
    """The keys of a location as the user wrote them: pydantic also names the chosen member of a union."""
    for at, key in enumerate(loc):
        if isinstance(value, dict) and key not in value and not (ends_with_key and at == len(loc) - 1):
            continue
        yield str(key)
        if isinstance(value, dict):
            value = value.get(key)
        elif isinstance(value, list | tuple) and isinstance(key, int):
            value = value[key]
