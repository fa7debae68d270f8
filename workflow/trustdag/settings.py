"""The base of every typed configuration section."""

import json
from typing import Self

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


def explain(error: ValidationError, origin: str) -> str:
    """A validation error as lines of `file: key: what is wrong (got value)`."""
    lines = []
    for detail in error.errors():
        key = ".".join(str(part) for part in detail["loc"]) or "(top level)"
        if detail["type"] == "extra_forbidden":
            lines.append(f"{origin}: {key}: unknown key; remove it or correct its spelling")
        else:
            lines.append(f"{origin}: {key}: {detail['msg']} (got {detail['input']!r})")
    return "\n".join(lines)
