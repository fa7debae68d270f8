"""benchmarks/attribution_speed.py says in one sentence what it lacks."""

import os
import sys
from pathlib import Path

import pytest

from tests.support.forks import run_python

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "attribution_speed.py"


@pytest.mark.parametrize("python", ["no-such-python", sys.executable])
def test_without_bergson_the_benchmark_ends_in_one_sentence(python: str) -> None:
    done = run_python([str(SCRIPT), "--bergson", python], os.environ)

    assert done.returncode == 1
    assert done.stderr.startswith("bergson 2.5 is needed, and ")
    assert len(done.stderr.splitlines()) == 1
