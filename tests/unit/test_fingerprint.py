"""The code fingerprint: exact about what runs, blind to what does not."""

import ast
from pathlib import Path

import pytest

from trustdag import fingerprint
from trustdag.fingerprint import code_of, reachable


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of three modules: `a` imports `b` inside a function; `c` stands alone."""
    (tmp_path / "a.py").write_text("def f():\n    from trustdag.b import g\n    return g()\n")
    (tmp_path / "b.py").write_text('"""Doc."""\n\ndef g():\n    """Doc."""\n    return 1\n')
    (tmp_path / "c.py").write_text("x = 1\n")
    monkeypatch.setattr(fingerprint, "PACKAGE", tmp_path)
    return tmp_path


def fresh(*modules: str) -> str:
    for function in (fingerprint.code_of, fingerprint.imports_of, fingerprint.syntax_tree_of):
        function.cache_clear()
    return code_of(*modules)


def test_imports_inside_functions_count(package: Path) -> None:
    assert {path.name for path in reachable("a")} == {"a.py", "b.py"}


@pytest.mark.parametrize(
    "content",
    [
        '"""Another doc."""\n\n\ndef g():\n    # a comment\n    return 1\n',
        "def g():\n    return (\n        1\n    )\n",
    ],
    ids=["docstring and comment", "formatting"],
)
def test_what_does_not_run_changes_nothing(package: Path, content: str) -> None:
    before = fresh("a")
    (package / "b.py").write_text(content)
    ast.parse(content)
    assert fresh("a") == before


def test_code_of_an_imported_module_changes_it(package: Path) -> None:
    before = fresh("a")
    (package / "b.py").write_text("def g():\n    return 2\n")
    assert fresh("a") != before


def test_code_of_another_module_does_not(package: Path) -> None:
    before = fresh("a")
    (package / "c.py").write_text("x = 2\n")
    assert fresh("a") == before


def test_a_missing_module_is_an_error(package: Path) -> None:
    with pytest.raises(FileNotFoundError):
        fresh("nowhere")
