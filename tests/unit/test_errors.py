"""Messages that a user sees."""

import pytest

from trustdag.errors import UserError, first_line, without_logins


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://ana:secret@host.example/x cannot be fetched", "https://***@host.example/x cannot be fetched"),
        ("http://token@host and http://a:p@ss@other", "http://***@host and http://***@other"),
        ("https://host/a, or write to ana@host", "https://host/a, or write to ana@host"),
        ("https://host/owner@commit", "https://host/owner@commit"),
    ],
)
def test_an_address_is_shown_without_its_login(text: str, shown: str) -> None:
    assert without_logins(text) == str(UserError(text)) == first_line(ValueError(text)) == shown
