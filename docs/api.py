"""The page of the Python interface, read from the source: no library is imported, and nothing runs."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from textwrap import indent

PACKAGE = Path(__file__).parents[1] / "workflow" / "trustdag"
CONTRACT = "NAMES"
"""The dictionary in a kind's `contract.py`: what a part's file has to define."""
INTERFACE: dict[str, tuple[str, dict[str, tuple[str, ...]]]] = {
    "A finished study": (
        "[python.md](python.md) shows them in use, and explains every column.",
        {
            "trustdag": ("load",),
            "trustdag.results.study": ("StudyResults",),
            "trustdag.results.compare": ("compare", "StudyComparison", "Cause"),
        },
    ),
    "A vertical of your own": (
        "[extending.md](extending.md#a-vertical) explains it. Its file has to define:",
        {
            "trustdag.verticals.contract": (CONTRACT,),
            "trustdag.verticals.base": (
                "Metric", "Companion", "question", "item_replies", "ItemReplies", "Reply", "Reading", "pooled", "share",
                "bounds", "with_variants", "Records", "VerticalSettings", "ScoreSection",
            ),
            "trustdag.generation.settings": ("GenerateSettings",),
        },
    ),
    "A scorer of your own": (
        "[extending.md](extending.md#a-scorer) explains it. Its file has to define:",
        {"trustdag.scorers.contract": (CONTRACT,), "trustdag.scorers.base": ("Scorer", "ScorerSection")},
    ),
    "A training method of your own": (
        "[extending.md](extending.md#a-method) explains it. Its file has to define:",
        {
            "trustdag.align.contract": (CONTRACT,),
            "trustdag.train.stage": ("Stage",),
            "trustdag.train.settings": ("TrainSettings", "SupervisedSettings"),
            "trustdag.train.cost": ("MethodCost", "supervised_cost"),
            "trustdag.train.supervised": ("supervised", "TrainerInputs"),
            "trustdag.train.session": ("session", "Session"),
            "trustdag.train.outputs": ("write_outputs",),
        },
    ),
    "A preference format of your own": (
        "[extending.md](extending.md#preferences) explains it. Its file has to define:",
        {
            "trustdag.data.contract": (CONTRACT,),
            "trustdag.data.source": (
                "SourceSettings", "Pair", "Drop", "NotAPair", "pair_or_drop", "text_of", "dialogue",
            ),
        },
    ),
    "Parts of the library": (
        "[ppo.md](ppo.md#as-a-library) and [examples](../examples/README.md) show them in use.",
        {
            "trustdag.config.load": ("load",),
            "trustdag.rl.trainer": ("PPOTrainer",),
            "trustdag.errors": ("UserError",),
        },
    ),
}  # fmt: skip
"""By section: a sentence, and by module the names that are promised to stay."""
SECTION = re.compile(r"^(Args|Returns|Raises|Yields):$", re.MULTILINE)


def page(note: str) -> str:
    """The whole page."""
    parts = [
        "# The Python interface",
        f"{note} Code of yours may use the names of this page; all others may change with any version.",
    ]
    for title, (sentence, modules) in INTERFACE.items():
        parts += [f"## {title}", sentence]
        for module, names in modules.items():
            tree = ast.parse(_file(module).read_text(encoding="utf-8"))
            parts += [part for name in names for part in _described(module, tree, name)]
    return "\n\n".join(parts) + "\n"


def _file(module: str) -> Path:
    path = PACKAGE.parent.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _described(module: str, tree: ast.Module, name: str) -> Iterator[str]:
    """What the page says of a name of a module. Raises KeyError for a name that the module does not define."""
    if name == CONTRACT:
        constants = {ast.unparse(node.targets[0]): node.value for node in tree.body if isinstance(node, ast.Assign)}
        rows = [f"| `{key}` | {_cell(text)} |" for key, text in ast.literal_eval(constants[name]).items()]
        yield "\n".join(["| name | meaning |", "|---|---|", *rows])
    else:
        yield from _entry(module, _definitions(tree)[name])


def _definitions(tree: ast.Module) -> dict[str, ast.ClassDef | ast.FunctionDef]:
    return {node.name: node for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)}


def _entry(module: str, node: ast.ClassDef | ast.FunctionDef) -> Iterator[str]:
    """A name's heading, signature and text; of a class also its fields and methods."""
    yield f"### {node.name}"
    if isinstance(node, ast.FunctionDef):
        yield f"`{module}.{_signature(node)}`"
        yield from _text(node)
        return
    initial = next((entry for entry in node.body if getattr(entry, "name", "") == "__init__"), None)
    signature = _signature(initial).partition(" -> ")[0] if isinstance(initial, ast.FunctionDef) else "__init__"
    yield f"`class {module}.{node.name}{signature.removeprefix('__init__')}`"
    yield from _text(node)
    if isinstance(initial, ast.FunctionDef) and ast.get_docstring(initial):
        yield from _text(initial)
    fields = list(_fields(node))
    if fields:
        yield "\n".join(["| field | meaning |", "|---|---|", *fields])
    methods = [_method(entry) for entry in node.body if isinstance(entry, ast.FunctionDef) and entry.name[0] != "_"]
    if methods:
        yield "\n".join(methods)


def _signature(node: ast.FunctionDef) -> str:
    """A function's name, arguments and result as they are written, without `self`."""
    given = node.args
    for argument in filter(None, [*given.posonlyargs, *given.args, given.vararg, *given.kwonlyargs, given.kwarg]):
        argument.annotation = _unquoted(argument.annotation)
    arguments = re.sub(r"^(self|cls)(, |$)", "", ast.unparse(given))
    result = _unquoted(node.returns)
    return f"{node.name}({arguments})" + (f" -> {ast.unparse(result)}" if result is not None else "")


def _unquoted(annotation: ast.expr | None) -> ast.expr | None:
    """An annotation without the quotes that keep Python from evaluating it."""
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        return ast.parse(annotation.value, mode="eval").body
    for name, value in ast.iter_fields(annotation) if annotation is not None else ():
        if isinstance(value, ast.expr):
            setattr(annotation, name, _unquoted(value))
        elif isinstance(value, list) and not isinstance(annotation, ast.Subscript):
            setattr(annotation, name, [_unquoted(entry) for entry in value])
    return annotation


def _fields(node: ast.ClassDef) -> Iterator[str]:
    """The fields of a class with the texts below them, as rows of a table."""
    for entry, following in zip(node.body, [*node.body[1:], None], strict=True):
        if not isinstance(entry, ast.AnnAssign) or not isinstance(entry.target, ast.Name) or entry.target.id[0] == "_":
            continue
        text = ""
        if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
            text = " ".join(str(following.value.value).split())
        yield f"| `{entry.target.id}: {_cell(_kind(entry.annotation))}` | {_cell(text)} |"


def _kind(annotation: ast.expr) -> str:
    """A type as it is written, without quotes around all of it."""
    return ast.unparse(_unquoted(annotation) or annotation)


def _cell(text: str) -> str:
    return text.replace("|", r"\|")


def _method(node: ast.FunctionDef) -> str:
    """A method as an entry of a list; a property without its parentheses."""
    decorators = {ast.unparse(decorator) for decorator in node.decorator_list}
    is_property = bool(decorators & {"property", "cached_property"})
    signature = _signature(node).replace("()", "", 1) if is_property else _signature(node)
    first, *others = _text(node)
    indented = "".join("\n\n" + indent(other, "  ") for other in others)
    return f"- `{signature}`: {first}{indented}"


def _text(node: ast.ClassDef | ast.FunctionDef) -> Iterator[str]:
    """The paragraphs of a docstring; Google's sections become lists."""
    docstring = ast.get_docstring(node)
    if docstring is None:
        raise ValueError(f"{node.name}: no docstring, and it is in the interface")
    text, *sections = SECTION.split(docstring)
    yield from (" ".join(paragraph.split()) for paragraph in text.strip().split("\n\n"))
    for name, content in zip(sections[::2], sections[1::2], strict=True):
        entries = re.split(r"^ {4}(?! )", content, flags=re.MULTILINE)[1:]
        lines = [" ".join(entry.split()) for entry in entries]
        if name in ("Args", "Raises"):
            lines = [re.sub(r"^([*\w.]+):", r"`\1`:", line) for line in lines]
            yield f"{'Arguments' if name == 'Args' else name}:\n\n" + "\n".join(f"- {line}" for line in lines)
        else:
            yield f"{name}: {' '.join(lines)}"
