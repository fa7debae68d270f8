"""What we use of Snakemake beyond its documentation is there: a new version that lacks it is named here first."""

import inspect
from importlib import import_module

import pytest
import snakemake.api  # noqa: F401 - first: its modules import each other

from trustdag.pending.reasons import HEADERS
from trustdag.pending.snakemake_names import USED


@pytest.mark.parametrize(("module", "name", "why"), [(use.module, use.name, use.why) for use in USED])
def test_a_name_that_we_use_is_there(module: str, name: str, why: str) -> None:
    value = import_module(module)
    for part in name.split("."):
        assert hasattr(value, part), f"Snakemake has no {module}.{name} any more; {why}"
        value = getattr(value, part)


def test_the_sentences_of_a_reason_are_snakemakes() -> None:
    source = inspect.getsource(import_module("snakemake.jobs").Reason)
    missing = [header for header in HEADERS if header.split(":")[0].split(" updated by")[0] not in source]
    assert not missing, f"snakemake.jobs.Reason says these otherwise now; change pending.reasons.HEADERS: {missing}"
