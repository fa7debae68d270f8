"""The base of every typed configuration section."""

import ast
import inspect
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, reduce
from itertools import pairwise
from operator import or_
from typing import Annotated, Any, ClassVar, Literal, Self, get_args, get_origin
from unicodedata import category

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from trustdag.errors import UserError, did_you_mean

SEEDS = 2**32
Seed = Annotated[int, Field(ge=0, lt=SEEDS)]
"""A seed that all used random generators accept."""
MOST = 100_000_000
LARGEST, SMALLEST = 1e9, 1e-12
Count = Annotated[int, Field(ge=1, le=MOST)]
"""A number of things. Implausibly large values are refused as typing errors before anything runs."""
Positive = Annotated[float, Field(ge=SMALLEST, le=LARGEST)]
"""A number above 0 whose arithmetic neither overflows nor underflows."""
NotNegative = Annotated[float, Field(ge=0, le=LARGEST)]
"""0, or such a number."""
Weight = Annotated[float, Field(ge=-LARGEST, le=LARGEST)]
"""A number of either sign."""
Decay = Annotated[float, Field(ge=0, lt=1)]
"""A decay rate of an optimizer."""
PATTERNS = {
    r"^[A-Za-z0-9][A-Za-z0-9_.-]*$": "letters, digits, `_`, `.` and `-` alone, and begin with a letter or a digit",
    r"^[A-Za-z0-9][A-Za-z0-9_.]*$": "letters, digits, `_` and `.` alone, and begin with a letter or a digit",
    r"^[\w.-]+$": "letters, digits, `_`, `.` and `-` alone",
    r"^[\w.-]+/[\w.-]+$": "the form OWNER/NAME",
    r"^[A-Za-z_]\w*$": "letters, digits and `_` alone, and begin with none of the digits",
    r"^[0-9a-f]{40}$": "the 40 hexadecimal digits of a commit: a branch or tag can change",
    r"^[0-9a-f]{64}$": "the 64 hexadecimal digits of a SHA-256",
}
"""What a text of each pattern must have, in words."""
NO_RESULT = frozenset({"batch_tokens", "checkpoint_every", "log_every"})
"""Keys of sections that change how a result is computed, logged or saved, but not the result itself."""


class Section(BaseModel):
    """A configuration section: immutable, unknown keys refused, each field documented where it is defined.

    The string below a field is its description. The JSON schema and the reference page are generated from the
    descriptions.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)

    RENAMED: ClassVar[dict[str, str]] = {}
    """Former names of keys, with their present names."""

    @model_validator(mode="before")
    @classmethod
    def _keys_are_known(cls, values: Any) -> Any:
        if isinstance(values, dict) and cls.model_config.get("extra") == "forbid":
            wrong = {str(key): cls._mend_of(str(key)) for key in values if key not in cls.model_fields}
            if wrong := wrong | dict(cls._switches_for_numbers(values)):
                raise PydanticCustomError("wrong_keys", "wrong keys", {"mends": wrong})
        return values

    @classmethod
    def _switches_for_numbers(cls, values: dict[str, Any]) -> Iterator[tuple[str, str]]:
        """The keys of numbers with `true` or `false`, which pydantic takes for 1 and 0, and their remedies."""
        for key in sorted(values.keys() & cls.model_fields.keys()):
            types = set(_types_in(cls.model_fields[key].annotation))
            if types & {int, float} and bool not in types and _holds_switch(values[key]):
                yield key, f"a number is expected, not true or false (got {values[key]!r:.100})"

    @classmethod
    def _mend_of(cls, key: str) -> str:
        """The remedy for an unknown key."""
        if key in cls.RENAMED:
            return f"this key is now called `{cls.RENAMED[key]}`; rename it"
        return f"unknown key{did_you_mean(key, cls.model_fields) or '; remove it'}"

    @classmethod
    def descriptions(cls) -> dict[str, str]:
        """The description of each field: that of its `Field`, or the string below it.

        Sources are read when this is called. Pydantic's `use_attribute_docstrings` reads them at every start.
        """
        strings: dict[str, str] = {}
        for section in reversed(cls.__mro__[: cls.__mro__.index(Section)]):
            strings |= _strings_below_fields(section.__module__).get(section.__name__, {})
        return {name: field.description or strings.get(name, "") for name, field in cls.model_fields.items()}

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        document = handler(schema)
        properties = handler.resolve_ref_schema(document).get("properties", {})
        for name, text in cls.descriptions().items():
            properties[name] |= {"description": text} if text else {}
        return document

    def as_json(self) -> str:
        """The section as JSON with sorted keys. Equal settings give equal text, as a rule's params need."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True)

    def results_json(self) -> str:
        """As `as_json`, without the keys that change no result."""
        return json.dumps(self.model_dump(mode="json", exclude=set(NO_RESULT)), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The section from `as_json`'s text."""
        return cls.model_validate_json(text)


def _types_in(annotation: Any) -> Iterator[type]:
    """The types of the values in an annotation: int and str for `dict[str, int] | None`."""
    inner = get_args(annotation)
    if get_origin(annotation) is Literal:
        yield from map(type, inner)
    elif inner:
        for entry in inner:
            yield from _types_in(entry)
    elif isinstance(annotation, type):
        yield annotation


def _holds_switch(value: Any) -> bool:
    """Whether a value is `true` or `false`, or a list or section with one."""
    if isinstance(value, dict):
        return any(map(_holds_switch, value.values()))
    return any(map(_holds_switch, value)) if isinstance(value, list | tuple) else isinstance(value, bool)


@cache
def _strings_below_fields(module: str) -> dict[str, dict[str, str]]:
    """For each class of a module: the string below each field of its body."""
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    return {node.name: dict(_strings(node.body)) for node in tree.body if isinstance(node, ast.ClassDef)}


def _strings(body: Sequence[ast.stmt]) -> Iterator[tuple[str, str]]:
    for field, below in pairwise(body):
        match field, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                yield name, inspect.cleandoc(text)


class Growing:
    """Annotation of a field with more types if a study names plugins. They are looked up when a value is validated.

    The JSON schema and the reference page show only the built-in types.
    """

    def __init__(self, shipped: Callable[[], Any], now: Callable[[], Any], version: Callable[[], object]) -> None:
        self.shipped, self._now, self._version = shipped, now, version
        self._adapter: tuple[object, TypeAdapter[Any]] | None = None

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self._validated, json_schema_input_schema=handler.generate_schema(self.shipped())
        )

    def _validated(self, value: Any) -> Any:
        version = self._version()
        if self._adapter is None or self._adapter[0] != version:
            self._adapter = (version, TypeAdapter(self._now()))
        return self._adapter[1].validate_python(value)


def chosen_by(key: str, types: Sequence[type[Section]]) -> Any:
    """The union of several sections, discriminated by the value of one key."""
    return Annotated[reduce(or_, types), Field(discriminator=key)] if len(types) > 1 else types[0]


def mend_of_name(name: str, known: Iterable[str], holder: str) -> str:
    """The remedy for an unknown name: the nearest known name, or all of them.

    Args:
        name: The unknown name.
        known: The known names.
        holder: The owner of the known names, such as `the study`.
    """
    names = sorted(known)
    return "no such name" + (did_you_mean(name, names) or f"; {holder} has {', '.join(names) or 'none'}")


def refuse_characters(value: Any, origin: str, key: tuple[str, ...] = ()) -> None:
    """Raises UserError for a text or key with a character that files, command lines or terminals cannot represent.

    These are control characters except tabs and line feeds, and halves of surrogate pairs, which YAML and JSON allow.

    Args:
        value: The parsed value: sections, lists, texts and numbers.
        origin: The file or option that it came from.
        key: Position of `value` in it.
    """
    if isinstance(value, dict):
        for name, entry in value.items():
            refuse_characters(str(name), origin, (*key, "a key"))
            refuse_characters(entry, origin, (*key, str(name)))
    elif isinstance(value, list | tuple):
        for entry in value:
            refuse_characters(entry, origin, key)
    elif isinstance(value, str):
        wrong = next((sign for sign in value if sign not in "\n\t" and category(sign) in ("Cc", "Cs")), None)
        if wrong is not None:
            raise UserError(
                f"{origin}: {'.'.join(key)}: holds the character U+{ord(wrong):04X}, which no file or command takes;"
                f" remove it (got {value!a:.100})"
            )


def explain(error: ValidationError, origin: str, value: Any = None) -> str:
    """A validation error of `value` as lines of `file: key: what is wrong (got what)`.

    Args:
        error: The error of pydantic.
        origin: The file or option that the value came from.
        value: The validated value.
    """
    details = error.errors()
    wrong = [detail["loc"] for detail in details if detail["type"] != "too_short"]
    # A list seems to lack the entries that were found to be wrong.
    told = [
        detail
        for detail in details
        if detail["type"] != "too_short" or not any(loc[: len(detail["loc"])] == detail["loc"] for loc in wrong)
    ]
    lines = [f"{origin}: {line}" for detail in told for line in _complaints(detail, value)]
    return "\n".join(dict.fromkeys(lines))


def _complaints(detail: Any, value: Any) -> list[str]:
    if detail["type"] == "wrong_keys":
        section = ".".join(_written(detail["loc"], value, ends_with_key=False))
        return [f"{section}.{key}: {mend}".lstrip(".") for key, mend in detail["ctx"]["mends"].items()]
    return [_complaint(detail, value)]


def _complaint(detail: Any, value: Any) -> str:
    key = ".".join(_written(detail["loc"], value, detail["type"] == "missing"))
    if detail["type"] in ("union_tag_invalid", "union_tag_not_found"):
        choice = detail["ctx"]["discriminator"].strip("'")
        return _complaint_of_choice(f"{key}.{choice}" if key else choice, detail["ctx"])
    wrong = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "string_pattern_mismatch" and detail["ctx"]["pattern"] in PATTERNS:
        wrong = f"must have {PATTERNS[detail['ctx']['pattern']]}"
    near = ""
    if detail["type"] == "literal_error":
        near = did_you_mean(str(detail["input"]), re.findall(r"'([^']*)'", detail["ctx"]["expected"]))
    got = "" if isinstance(detail["input"], dict) else f" (got {detail['input']!r:.100})"
    return f"{key}: {wrong}{got}{near}" if key else f"{wrong}{got}{near}"


def _complaint_of_choice(key: str, context: dict[str, Any]) -> str:
    if "tag" not in context:
        return f"{key}: Field required"
    known = [tag.strip().strip("'") for tag in context["expected_tags"].split(",")]
    near = did_you_mean(str(context["tag"]), known)
    return f"{key}: Input should be one of {context['expected_tags']} (got {context['tag']!r}){near}"


def _written(loc: tuple[int | str, ...], value: Any, ends_with_key: bool) -> Iterator[str]:
    """The keys of a location as written by the user, without the members of unions that pydantic adds."""
    for depth, key in enumerate(loc):
        if isinstance(value, dict) and key not in value and not (ends_with_key and depth == len(loc) - 1):
            continue
        yield str(key)
        if isinstance(value, dict):
            value = value.get(key)
        elif isinstance(value, list | tuple) and isinstance(key, int):
            value = value[key]
