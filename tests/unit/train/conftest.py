"""What the tests of training share."""

from pathlib import Path

import pytest

from tests.support import tiny_models as tiny


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny base model and data. Not to be changed."""
    folder = tmp_path_factory.mktemp("world")
    tiny.write_data(folder / "data")
    tiny.write_base(folder / "base")
    return folder
