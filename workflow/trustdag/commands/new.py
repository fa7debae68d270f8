"""`trustdag new`: writes the template of a plugin."""

import argparse
from pathlib import Path

from trustdag.errors import UserError
from trustdag.plugins import files

HELP = "Write a commented template of a vertical, scorer, training method or preference format of your own."
TEMPLATES = Path(files.__file__).parent / "templates"
USED_AS = {
    "vertical": "verticals: {{{name}: {{}}}}",
    "scorer": "verticals: {{toxicity: {{items: ..., score: {{scorers: [{{name: {name}}}]}}}}}}",
    "method": "stages: {{{name}: {{}}}}, and in a recipe: [{name}]",
    "preferences": "preferences: {{mine: {{source: {name}, path: FILE}}}}",
}
"""The keys with which a study uses a part of each kind."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("kind", choices=files.KINDS, metavar="KIND", help=f"one of {', '.join(files.KINDS)}")
    parser.add_argument("name", metavar="NAME", help="the part's name; the file is NAME.py")
    parser.add_argument("--folder", type=Path, default=Path(), help="where the file is written; default: here")


def run(arguments: argparse.Namespace) -> None:
    """Writes the file. Raises UserError for a name that is taken or not allowed."""
    path = arguments.folder / f"{arguments.name}.py"
    if not files.NAME.fullmatch(arguments.name):
        raise UserError(f"{arguments.name}: a part's name has small letters, digits and _ alone, such as `brevity`")
    if arguments.name in _taken(arguments.kind):
        raise UserError(f"{arguments.name}: trustdag has a part of this kind and name; choose another")
    if path.exists():
        raise UserError(f"{path}: exists; delete it, or choose another name")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text(arguments.kind, arguments.name), encoding="utf-8")
    print(f"{path}: a template to change. In a study beside it:")
    print(f"  plugins: [{path.name}]\n  {USED_AS[arguments.kind].format(name=arguments.name)}")
    print("What each name means: docs/extending.md. `trustdag check STUDY` says what is missing.")


def text(kind: str, name: str) -> str:
    """The template of a kind, for a part with this name."""
    return (TEMPLATES / f"{kind}.txt").read_text(encoding="utf-8").replace("NAME", name)


def _taken(kind: str) -> set[str]:
    from trustdag import align, data, scorers, verticals
    from trustdag.plugins import kinds

    rooms = {"vertical": verticals, "scorer": scorers, "method": align, "preferences": data}
    return set(kinds.parts(rooms[kind].KIND)) | {"pruned", "subset"}
