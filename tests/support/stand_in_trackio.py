"""A stand-in for the package trackio, for tests: put into a folder of Python's path as `trackio.py`.

It has what accelerate's tracker calls, and writes each call as a line of `TRACKIO_DIR/calls.jsonl`. With
`STAND_IN_FAILS` it raises an error in `log`, as a server that is away.
"""

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any


def note(**call: Any) -> None:
    """Adds a line to the calls."""
    with (Path(os.environ["TRACKIO_DIR"]) / "calls.jsonl").open("a", encoding="utf-8") as handle:
        handle.write(json.dumps(call) + "\n")


class Run:
    """A run, as `trackio.init` returns it."""

    def log(self, values: dict[str, float], step: int | None = None) -> None:
        """One line of metrics."""
        if "STAND_IN_FAILS" in os.environ:
            raise ConnectionError("https://user:password@tracker.example is away; key " + os.environ["TRACKER_API_KEY"])
        note(call="log", step=step, values=values)

    def finish(self) -> None:
        """The end of the run."""
        note(call="finish")


def init(project: str, **options: Any) -> Run:
    """Begins a run."""
    note(call="init", project=project, **{name: options[name] for name in ("name", "resume")})
    return Run()


def _update(values: dict[str, Any], allow_val_change: bool) -> None:
    note(call="config", values=values)


config = SimpleNamespace(update=_update)
