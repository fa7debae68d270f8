"""The configuration's JSON schema for editors and its reference page, generated from the typed sections."""

import json
from typing import Any

from trustdag.config.study import Study

HEADER = """# Configuration

Every key of a study, generated from the typed sections by `trustdag schema`; do not edit by hand. A study is one YAML
file: `snakemake --configfile config/my-study.yaml`. Unknown keys are refused. For completion and checking in an editor,
put `# yaml-language-server: $schema=schema.json` at its top.
"""


def schema() -> str:
    """The JSON schema of a study's YAML file."""
    document = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Study.model_json_schema(mode="validation")}
    return json.dumps(document, indent=2, sort_keys=True) + "\n"


def page() -> str:
    """The reference page: one table per section, in the order of the study's keys."""
    document = Study.model_json_schema(mode="validation")
    sections = document.pop("$defs")
    order = ["Study", *_reachable(document, sections)]
    tables = [_table(name, document if name == "Study" else sections[name]) for name in order]
    return HEADER + "".join(tables)


def _reachable(start: dict[str, Any], sections: dict[str, Any]) -> list[str]:
    """The names of the sections that `start` refers to, depth first, each once."""
    names: list[str] = []

    def visit(value: Any) -> None:
        if isinstance(value, list):
            for entry in value:
                visit(entry)
        elif isinstance(value, dict):
            name = str(value.get("$ref", "")).rpartition("/")[2]
            if name and name not in names:
                names.append(name)
                visit(sections[name])
            for key, entry in value.items():
                if key not in ("discriminator", "default"):
                    visit(entry)

    visit(start)
    return [name for name in names if "properties" in sections[name]]


def _table(name: str, section: dict[str, Any]) -> str:
    rows = [
        f"\n## {_title(name)}\n\n{section.get('description', '').strip()}\n\n",
        "| key | type | default | |\n|---|---|---|---|\n",
    ]
    required = section.get("required", [])
    for key, field in section["properties"].items():
        default = "required" if key in required else f"`{json.dumps(field.get('default'))}`"
        if len(default) > 60:
            default = "see below"
        text = " ".join(field.get("description", "").split()).replace("|", "\\|")
        rows.append(f"| `{key}` | {_type(field)} | {default} | {text} |\n")
    return "".join(rows)


def _title(name: str) -> str:
    """A section's heading. If several modules have a section of this name, it includes the module's name."""
    *modules, last = name.split("__")
    return f"{modules[-1].capitalize()} {last}" if modules else last


def _type(field: dict[str, Any]) -> str:
    """A field's type as text."""
    if "$ref" in field:
        title = _title(field["$ref"].rpartition("/")[2])
        return f"[{title}](#{title.lower().replace(' ', '-')})"
    if "const" in field:
        return f"`{field['const']}`"
    if "enum" in field:
        return " or ".join(f"`{value}`" for value in field["enum"])
    for union in ("anyOf", "oneOf"):
        if union in field:
            return " or ".join(dict.fromkeys(_type(member) for member in field[union]))
    if field.get("type") == "array":
        items = field.get("items") or {}
        return f"list of {_type(items)}" if items else "list"
    if field.get("type") == "object" and isinstance(field.get("additionalProperties"), dict):
        return f"name to {_type(field['additionalProperties'])}"
    return str(field.get("type", "any"))
