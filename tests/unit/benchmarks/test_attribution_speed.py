"""benchmarks/attribution_speed.py says in one sentence what it lacks."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "attribution_speed.py"


@pytest.mark.parametrize("python", ["no-such-python", sys.executable])
def test_without_bergson_the_benchmark_ends_in_one_sentence(python: str) -> None:
    command = [sys.executable, str(SCRIPT), "--bergson", python]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert done.stderr.startswith("bergson 2.5 is needed, and ")
    assert len(done.stderr.splitlines()) == 1
