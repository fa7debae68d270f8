"""The data card of items states under which license they are."""

from types import ModuleType, SimpleNamespace

import pytest

from trustdag.verticals.card import NOT_STATED, OWN_LICENSE, license_of


@pytest.mark.parametrize("name", ["bias", "ethics", "toxicity", "truthfulness"])
def test_every_benchmark_has_its_publishers_license(name: str) -> None:
    for source in ("hub", "publisher", "file"):
        assert license_of(name, ModuleType(name), source) not in (NOT_STATED, OWN_LICENSE)


@pytest.mark.parametrize(("name", "source"), [("bias", "toy"), ("privacy", "synthetic")])
def test_what_trustdag_makes_itself_has_its_own(name: str, source: str) -> None:
    assert license_of(name, ModuleType(name), source) == OWN_LICENSE


def test_another_vertical_states_its_own_or_none_is_stated() -> None:
    stated = SimpleNamespace(LICENSE="CC0")

    assert license_of("mine", stated, "file") == "CC0"  # type: ignore[arg-type]
    assert license_of("mine", ModuleType("mine"), "file") == NOT_STATED
