"""Tests use the package as its users do: they read no private name and replace no function of it."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PRIVATE_NAMES_OF_LIBRARIES = {
    "_attn_implementation": "transformers: the attention that a model uses",
    "_from_config": "transformers: builds a model with a given attention",
    "_no_split_modules": "transformers: the layers that FSDP wraps",
    "_prepare_backend": "accelerate: chooses the backend; a stand-in for GPUs",
    "_repr_html_": "IPython: how a notebook shows an object",
    "_reset_state": "accelerate: lets a process choose its precision twice",
    "_shared_state": "accelerate: a stand-in for GPUs",
}
"""What a test cannot see by a public name."""


def private_names(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Private names that are imported or are attributes of something other than `self`, with their lines."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, alias.name) for alias in node.names if is_private(alias.name))
        elif (
            isinstance(node, ast.Attribute) and is_private(node.attr) and ast.unparse(node.value) not in ("self", "cls")
        ):
            yield node.lineno, node.attr


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__")


def replaced(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """What `monkeypatch.setattr` replaces in trustdag, other than its constants, with the lines."""
    ours = names_of_ours(tree)
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and ast.unparse(node.func) == "monkeypatch.setattr"):
            continue
        target = node.args[0]
        if isinstance(target, ast.Constant):
            owner, _, name = str(target.value).rpartition(".")
        else:
            owner, name = ast.unparse(target), ast.unparse(node.args[1]).strip("'")
        if owner.split(".")[0] in ours | {"trustdag"} and not name.isupper():
            yield node.lineno, f"{owner}.{name}"


def names_of_ours(tree: ast.Module) -> set[str]:
    """The names under which a file knows the package's modules, classes and functions."""
    return {
        alias.asname or alias.name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
        if (node.module or "" if isinstance(node, ast.ImportFrom) else alias.name).split(".")[0] == "trustdag"
    }


def test_a_test_process_computes_with_one_thread() -> None:
    import torch

    assert torch.get_num_threads() == 1


def trees() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted((ROOT / "tests").rglob("*.py")):
        yield str(path.relative_to(ROOT)), ast.parse(path.read_text(encoding="utf-8"))


def test_no_test_reads_a_private_name() -> None:
    read = [
        f"{path}:{line}: {name}"
        for path, tree in trees()
        for line, name in private_names(tree)
        if name not in PRIVATE_NAMES_OF_LIBRARIES
    ]
    assert read == []


def test_no_test_replaces_a_function_of_the_package() -> None:
    assert [f"{path}:{line}: {name}" for path, tree in trees() for line, name in replaced(tree)] == []


def test_private_names_and_replaced_functions_are_seen() -> None:
    tree = ast.parse(
        "from trustdag.jobs import nodes, watch\n"
        "from trustdag.rl.model import _merge\n"
        "nodes._note()\n"
        "monkeypatch.setattr(nodes, 'on_node', print)\n"
        "monkeypatch.setattr('trustdag.report.gather.provenance', print)\n"
        "monkeypatch.setattr(watch, 'SAMPLE_SECONDS', 1)\n"
        "monkeypatch.setattr(shutil, 'which', print)\n"
    )
    assert list(private_names(tree)) == [(2, "_merge"), (3, "_note")]
    assert list(replaced(tree)) == [(4, "nodes.on_node"), (5, "trustdag.report.gather.provenance")]
