"""What all tests share."""

import os

import pytest
from hypothesis import settings

from trustdag.plugins import files

# There is a test process for each core. Threads beyond that wait for each other in loops, which took twice the time.
os.environ["OMP_NUM_THREADS"] = "1"

# A busy machine is no failure: time is limited by pytest, not by each example.
settings.register_profile("trustdag", deadline=None)
settings.load_profile("trustdag")


@pytest.fixture(autouse=True)
def no_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test knows the shipped parts alone, until it names others."""
    monkeypatch.setenv(files.VARIABLE, "")
