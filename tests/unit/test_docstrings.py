"""Public functions say what they take and give: `Args:` for three or more arguments, `Returns:` for a tuple."""

import ast
from collections.abc import Iterator

from trustdag import rooms
from trustdag.fingerprint import PACKAGE

SIGNATURES_OF_LIBRARIES = {
    "compute_loss", "get_batch_samples", "on_log", "on_save", "on_step_end", "on_train_begin",
}  # fmt: skip
"""Methods that transformers calls: their arguments are documented there."""


def public_functions(body: list[ast.stmt]) -> Iterator[ast.FunctionDef]:
    """The functions of a module and the methods of its classes whose names are public all the way down."""
    for node in body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
            if isinstance(node, ast.ClassDef):
                yield from public_functions(node.body)
            else:
                yield node


def missing(function: ast.FunctionDef) -> list[str]:
    """The sections that a function's docstring lacks."""
    taken = function.args
    arguments = [*taken.posonlyargs, *taken.args, *taken.kwonlyargs, *filter(None, (taken.vararg, taken.kwarg))]
    names = [argument.arg for argument in arguments if argument.arg not in ("self", "cls")]
    result = ast.unparse(function.returns) if function.returns is not None else ""
    docstring = ast.get_docstring(function) or ""
    sections = []
    if len(names) >= 3 and "Args:" not in docstring:
        sections.append("Args")
    # A tuple of any length is a sequence; what has no arguments, as a property, is told in its first line.
    if result.strip("'").startswith("tuple[") and "..." not in result and names and "Returns:" not in docstring:
        sections.append("Returns")
    return sections


def test_public_functions_document_their_arguments_and_tuples() -> None:
    lacking = [
        f"{path.relative_to(PACKAGE)}:{function.lineno}: {function.name} lacks {' and '.join(missing(function))}"
        for path in rooms.files()
        for function in public_functions(ast.parse(path.read_text(encoding="utf-8")).body)
        if function.name not in SIGNATURES_OF_LIBRARIES and missing(function)
    ]
    assert lacking == []


def test_what_is_missing_is_seen() -> None:
    tree = ast.parse(
        'def few(a, b) -> int:\n    """Doc."""\n'
        'def many(a, b, *c) -> int:\n    """Doc."""\n'
        'def two(a) -> tuple[int, str]:\n    """Doc."""\n'
        'def any_number(a) -> tuple[int, ...]:\n    """Doc."""\n'
        'class K:\n    def method(self, a, b, *, c) -> None:\n        """Doc."""\n'
        'def told(a, b, c) -> tuple[int, str]:\n    """Doc.\n\n    Args:\n        a: 1.\n\n'
        '    Returns:\n        2.\n    """\n'
    )
    lacks = {function.name: missing(function) for function in public_functions(tree.body)}
    assert lacks == {
        "few": [], "many": ["Args"], "two": ["Returns"], "any_number": [], "method": ["Args"], "told": [],
    }  # fmt: skip
