"""Runs a trustdag command where only the packages of one conda environment can be imported.

python tests/only_environment.py envs/report.yaml report --study ...
"""

import re
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from importlib.metadata import packages_distributions
from pathlib import Path
from types import ModuleType

import yaml


class Finder:
    """Refuses every installed package that the environment does not list."""

    def __init__(self, environment: Path) -> None:
        listed = yaml.safe_load(environment.read_text())["dependencies"][-1]["pip"]
        self._allowed = {line.partition("==")[0] for line in listed}
        self._providers = packages_distributions()

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Raises ModuleNotFoundError; None leaves the import to others."""
        own = {re.sub(r"[-_.]+", "-", each).lower() for each in self._providers.get(name.split(".")[0], [])}
        if own and not own & self._allowed and not name.startswith("trustdag"):
            raise ModuleNotFoundError(f"not in the environment: {name}", name=name)
        return None


if __name__ == "__main__":
    sys.meta_path.insert(0, Finder(Path(sys.argv[1])))
    from trustdag.cli import main

    sys.exit(main(sys.argv[2:]))
