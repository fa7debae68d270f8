"""The command line: one file a command. Each has HELP, `add_arguments(parser)` and `run(arguments)`."""

from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from trustdag.errors import UserError
from trustdag.settings import explain

AnySection = TypeVar("AnySection", bound=BaseModel)


def read_settings(text: str, section: type[AnySection], option: str = "--settings") -> AnySection:
    """The settings that a command was given as `option`: `text` is JSON or the path of a YAML file.

    Raises UserError naming each key that is unknown or has a wrong value.
    """
    origin = option if text.lstrip().startswith("{") else text
    try:
        content = text if origin == option else Path(text).read_text(encoding="utf-8")
        value = yaml.safe_load(content)
    except OSError as error:
        raise UserError(f"{origin}: {error.strerror}") from None
    except yaml.YAMLError as error:
        raise UserError(f"{origin}: not YAML or JSON: {' '.join(str(error).split())}") from None
    try:
        return section.model_validate(value or {})
    except ValidationError as error:
        raise UserError(explain(error, origin, value or {})) from None
