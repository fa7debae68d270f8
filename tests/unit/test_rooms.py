"""The rooms of the package import in one direction, as docs/architecture.md says."""

import ast
from pathlib import Path

from trustdag import rooms
from trustdag.fingerprint import PACKAGE

ROOT = Path(__file__).parents[2]


def test_a_room_imports_only_rooms_before_it() -> None:
    assert rooms.violations() == []


def test_every_room_has_its_place_in_the_order() -> None:
    assert rooms.unlisted() == []


def test_no_files_import_each_other_in_a_circle() -> None:
    assert rooms.circles() == []


def test_the_documented_order_is_the_one_that_is_held() -> None:
    assert rooms.as_text() in (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


CONTRACTS = {"Settings", "ScoreSettings"}
"""Names that every plug-in of a kind defines."""


def test_no_class_name_stands_for_two_things() -> None:
    homes: dict[str, list[str]] = {}
    for path in rooms.files():
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and node.name not in CONTRACTS:
                homes.setdefault(node.name, []).append(str(path.relative_to(PACKAGE)))
    assert {name: files for name, files in homes.items() if len(files) > 1} == {}
