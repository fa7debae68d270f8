"""What the tests of models share."""

import shutil
from pathlib import Path

import pytest

from tests.support import tiny_models as tiny


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny model. Not to be changed."""
    return tiny.write_base(tmp_path_factory.mktemp("base"))


@pytest.fixture
def folder(shared: Path, tmp_path: Path) -> Path:
    """A model folder that a test may damage."""
    return Path(shutil.copytree(shared, tmp_path / "model"))
