"""Prepared data agree with their data card where they are read."""

from pathlib import Path

import pytest

from trustdag.artifacts import sha256_file, write_json
from trustdag.data.card import table_digest
from trustdag.errors import UserError


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "crowd" / "train.parquet"
    path.parent.mkdir()
    path.write_bytes(b"pairs")
    write_json(path.with_name("card.json"), {"sha256": {"train.parquet": sha256_file(path)}})
    return path


def test_a_table_that_is_as_its_card_says_has_its_digest(table: Path) -> None:
    assert table_digest(table) == sha256_file(table)


def test_a_table_that_was_changed_by_hand_is_refused_by_name(table: Path) -> None:
    table.write_bytes(b"other")
    with pytest.raises(UserError, match=r"train\.parquet: not as card\.json has it.*delete .*crowd and run"):
        table_digest(table)


def test_data_of_elsewhere_without_a_card_are_taken(table: Path) -> None:
    table.with_name("card.json").unlink()
    assert table_digest(table) == sha256_file(table)
