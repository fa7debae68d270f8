"""The code fingerprint: it changes with the code that runs, and not with comments or docstrings."""

import ast
import importlib.util
import os
import shutil
import sys
import time
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


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python may write its byte code."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)


def kept_by_an_earlier_process(package: Path, age: int) -> str:
    """The fingerprint of `a`, whose files changed `age` seconds ago, by a process that kept what it parsed."""
    for path in package.glob("*.py"):
        os.utime(path, (time.time() - age,) * 2)
    module = fingerprint_in(package)
    fingerprint: str = module.code_of("a")
    module.write_fingerprint_index(package / "code.json")
    return fingerprint


def break_in_place(path: Path) -> None:
    """Makes the file's content one that cannot be parsed, without a sign of it."""
    status = path.stat()
    path.write_text("(" * status.st_size)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.usefixtures("writes")
def test_what_an_earlier_process_parsed_is_not_parsed_again(package: Path) -> None:
    before = kept_by_an_earlier_process(package, age=60)
    break_in_place(package / "b.py")
    assert fresh(package, "a") == before


@pytest.mark.usefixtures("writes")
def test_a_file_that_had_just_been_edited_is_parsed_again(package: Path) -> None:
    kept_by_an_earlier_process(package, age=0)
    break_in_place(package / "b.py")
    with pytest.raises(SyntaxError):
        fresh(package, "a")


@pytest.mark.usefixtures("writes")
@pytest.mark.parametrize("edited", ["b.py", "fingerprint.py"])
def test_an_edit_is_seen_whatever_an_earlier_process_kept(package: Path, edited: str) -> None:
    # given a process that kept what it parsed
    kept_by_an_earlier_process(package, age=60)
    # when a module is edited, or the code that parses
    break_in_place(package / "b.py")
    os.utime(package / edited)
    # then the module is parsed
    with pytest.raises(SyntaxError):
        fresh(package, "a")


@pytest.mark.usefixtures("writes")
def test_a_module_that_is_new_is_among_the_imports_of_one_that_was_kept(package: Path) -> None:
    (package / "a.py").write_text("from trustdag.sub import module\n")
    (package / "sub").mkdir()
    (package / "sub" / "__init__.py").touch()
    before = kept_by_an_earlier_process(package, age=60)
    (package / "sub" / "module.py").write_text("x = 1\n")
    assert fresh(package, "a") != before


def test_a_file_that_another_replaces_is_seen_though_size_and_time_are_equal(package: Path) -> None:
    module = fingerprint_in(package)
    before = module.digest_of(package / "c.py")
    status = (package / "c.py").stat()
    (package / "new").write_text("x = 2\n")
    os.utime(package / "new", ns=(status.st_atime_ns, status.st_mtime_ns))
    (package / "new").replace(package / "c.py")
    assert module.digest_of(package / "c.py") != before
