"""The code fingerprint: it changes with the code that runs, and not with comments or docstrings."""

import ast
import importlib.util
import os
import shutil
from pathlib import Path
from types import ModuleType

import pytest

from trustdag import fingerprint


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package of three modules: `a` imports `b` inside a function; `c` stands alone."""
    (tmp_path / "a.py").write_text("def f():\n    from trustdag.b import g\n    return g()\n")
    (tmp_path / "b.py").write_text('"""Doc."""\n\ndef g():\n    """Doc."""\n    return 1\n')
    (tmp_path / "c.py").write_text("x = 1\n")
    shutil.copy(fingerprint.__file__, tmp_path)
    return tmp_path


def fingerprint_in(package: Path) -> ModuleType:
    """The module anew, as a part of that package: it remembers nothing of earlier contents."""
    spec = importlib.util.spec_from_file_location("fingerprint_of_another_package", package / "fingerprint.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def fresh(package: Path, *modules: str) -> str:
    fingerprint: str = fingerprint_in(package).code_of(*modules)
    return fingerprint


def test_imports_inside_functions_count(package: Path) -> None:
    assert {path.name for path in fingerprint_in(package).reachable("a")} == {"a.py", "b.py"}


@pytest.mark.parametrize(
    "content",
    [
        '"""Another doc."""\n\n\ndef g():\n    # a comment\n    return 1\n',
        "def g():\n    return (\n        1\n    )\n",
    ],
    ids=["docstring and comment", "formatting"],
)
def test_what_does_not_run_changes_nothing(package: Path, content: str) -> None:
    before = fresh(package, "a")
    (package / "b.py").write_text(content)
    ast.parse(content)
    assert fresh(package, "a") == before


def test_code_of_an_imported_module_changes_it(package: Path) -> None:
    before = fresh(package, "a")
    (package / "b.py").write_text("def g():\n    return 2\n")
    assert fresh(package, "a") != before


def test_code_of_another_module_does_not(package: Path) -> None:
    before = fresh(package, "a")
    (package / "c.py").write_text("x = 2\n")
    assert fresh(package, "a") == before


def test_a_missing_module_is_an_error(package: Path) -> None:
    with pytest.raises(FileNotFoundError):
        fresh(package, "nowhere")


def test_an_edit_is_seen_by_a_process_that_has_read_the_file(package: Path) -> None:
    # given a process that knows a digest
    module = fingerprint_in(package)
    before = module.digest_of(package / "b.py")
    assert module.changed({"b.py": before}) == []
    # when the file is edited to as many characters, in the same folder
    (package / "b.py").write_text((package / "b.py").read_text().replace("return 1", "return 2"))
    # then
    assert module.changed({"b.py": before}) == ["b.py"]


def test_a_file_that_another_replaces_is_seen_though_size_and_time_are_equal(package: Path) -> None:
    module = fingerprint_in(package)
    before = module.digest_of(package / "c.py")
    status = (package / "c.py").stat()
    (package / "new").write_text("x = 2\n")
    os.utime(package / "new", ns=(status.st_atime_ns, status.st_mtime_ns))
    (package / "new").replace(package / "c.py")
    assert module.digest_of(package / "c.py") != before
