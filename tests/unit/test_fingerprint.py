"""The code fingerprint: it changes with the code that runs, and not with comments or docstrings."""

import ast
import importlib.util
import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from trustdag import fingerprint
from trustdag.errors import UserError


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


EarlierProcess = Callable[[Path, int], str]


@pytest.fixture
def earlier_process(monkeypatch: pytest.MonkeyPatch) -> EarlierProcess:
    """A process that kept what it parsed: the fingerprint of `a`, whose files had changed some seconds before."""

    def kept(package: Path, age: int) -> str:
        with monkeypatch.context() as patch:
            now = time.time_ns() + age * 1_000_000_000
            patch.setattr(sys, "dont_write_bytecode", False)
            patch.setattr(time, "time_ns", lambda: now)
            module = fingerprint_in(package)
            fingerprint: str = module.code_of("a")
            module.write_fingerprint_index(package / "code.json")
        return fingerprint

    return kept


def kept_file(package: Path) -> Path:
    (path,) = package.glob("__pycache__/fingerprints.*.json")
    return path


def test_what_an_earlier_process_parsed_is_not_parsed_again(package: Path, earlier_process: EarlierProcess) -> None:
    before = earlier_process(package, 60)
    kept = json.loads(kept_file(package).read_text())
    kept["b.py"]["digest"] = "0" * 16
    kept_file(package).write_text(json.dumps(kept))
    assert fresh(package, "a") != before


def test_a_file_that_had_just_been_edited_is_not_kept(package: Path, earlier_process: EarlierProcess) -> None:
    earlier_process(package, 0)
    assert not list(package.glob("__pycache__/fingerprints.*.json"))


@pytest.mark.parametrize("content", ["", '{"b.py": {"sta', "[]", '{"b.py": 3}', "\0" * 400])
def test_what_was_kept_and_then_damaged_is_computed_anew(
    package: Path, earlier_process: EarlierProcess, content: str
) -> None:
    # given a process that kept what it parsed, and a kill or a full disk that damaged its files
    before = earlier_process(package, 60)
    kept_file(package).write_text(content)
    (package / "code.json").write_text(content)
    # then the fingerprint is the same, and the next process that keeps mends both files
    assert fresh(package, "a") == before
    assert earlier_process(package, 60) == before
    assert "b.py" in json.loads(kept_file(package).read_text())
    assert list(json.loads((package / "code.json").read_text())) == [before]


def test_an_edit_of_equal_size_is_seen_though_the_time_of_modification_was_put_back(
    package: Path, earlier_process: EarlierProcess
) -> None:
    before = earlier_process(package, 60)
    status = (package / "b.py").stat()
    (package / "b.py").write_text((package / "b.py").read_text().replace("return 1", "return 2"))
    os.utime(package / "b.py", ns=(status.st_atime_ns, status.st_mtime_ns))
    assert fresh(package, "a") != before


def test_another_version_of_the_code_that_parses_parses_all_again(
    package: Path, earlier_process: EarlierProcess
) -> None:
    before = earlier_process(package, 60)
    kept = json.loads(kept_file(package).read_text())
    kept["b.py"]["digest"] = "0" * 16
    kept_file(package).write_text(json.dumps(kept))
    os.utime(package / "fingerprint.py")
    assert fresh(package, "a") == before


def test_a_module_that_is_new_is_among_the_imports_of_one_that_was_kept(
    package: Path, earlier_process: EarlierProcess
) -> None:
    (package / "a.py").write_text("from trustdag.sub import module\n")
    (package / "sub").mkdir()
    (package / "sub" / "__init__.py").touch()
    before = earlier_process(package, 60)
    (package / "sub" / "module.py").write_text("x = 1\n")
    assert fresh(package, "a") != before


def test_data_with_the_name_of_a_module_is_a_part_of_it(package: Path) -> None:
    (package / "b.safetensors").write_bytes(b"weights")
    before, of_c = fresh(package, "a"), fresh(package, "c")
    (package / "b.safetensors").write_bytes(b"others!")
    assert fresh(package, "a") != before
    assert fresh(package, "c") == of_c


# --- Edits while a run is under way ---


@pytest.fixture
def run_of_a(package: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A run with a job of the code `a`; gives that job's fingerprint."""
    monkeypatch.setenv(fingerprint.RUN, "")
    module = fingerprint_in(package)
    code: str = module.code_of("a")
    module.write_fingerprint_index(package / "code.json")
    module.announce()
    return code


def test_a_job_of_unedited_code_may_run(package: Path, run_of_a: str) -> None:
    (package / "c.py").write_text("x = 2\n")
    fingerprint_in(package).refuse_edited(run_of_a, package / "code.json")


def test_a_job_whose_code_was_edited_since_its_run_began_is_refused(package: Path, run_of_a: str) -> None:
    (package / "b.py").write_text("def g():\n    return 2\n")
    module = fingerprint_in(package)
    with pytest.raises(UserError, match=r"^b\.py: edited since this run began"):
        module.refuse_edited(run_of_a, package / "code.json")
    # and so is a job that reads the workflow anew, as those of a scheduler do
    with pytest.raises(UserError, match="edited since this run began"):
        module.refuse_edited(module.code_of("a"), package / "code.json")


def test_a_job_of_another_python_or_without_a_run_is_not_compared(
    package: Path, run_of_a: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (package / "b.py").write_text("def g():\n    return 2\n")
    for announced in (f"cpython-999,{run_of_a}", ""):
        monkeypatch.setenv(fingerprint.RUN, announced)
        fingerprint_in(package).refuse_edited(run_of_a, package / "code.json")


def test_a_file_that_another_replaces_is_seen_though_size_and_time_are_equal(package: Path) -> None:
    module = fingerprint_in(package)
    before = module.digest_of(package / "c.py")
    status = (package / "c.py").stat()
    (package / "new").write_text("x = 2\n")
    os.utime(package / "new", ns=(status.st_atime_ns, status.st_mtime_ns))
    (package / "new").replace(package / "c.py")
    assert module.digest_of(package / "c.py") != before
