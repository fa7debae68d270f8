"""The key `tracking` of a study."""

import re
import shlex
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

from trustdag.cli import main
from trustdag.config import load
from trustdag.errors import UserError

ROOT = Path(__file__).parents[3]
SMOKE = ROOT / "config" / "smoke.yaml"
CHECK = re.search(r"trustdag (check .*)", (ROOT / "docs" / "tracking.md").read_text(encoding="utf-8"))


def test_nothing_is_tracked_by_default() -> None:
    assert load.load(SMOKE).tracking == []


def test_trackers_are_no_part_of_what_results_follow_from() -> None:
    plain, tracked = load.load(SMOKE), load.load(SMOKE, tracking=["tensorboard", "mlflow"])
    assert tracked.tracking == ["tensorboard", "mlflow"]
    assert load.digest(plain) == load.digest(tracked)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("[tensorbord]", "tracking.0: .* (got 'tensorbord'); did you mean `tensorboard`?"),
        ("[mlflow, mlflow]", "tracking: a tracker is listed twice"),
        ("wandb", "tracking: Input should be a valid list"),
        ("[7]", "tracking.0: Input should be 'tensorboard', 'wandb', 'trackio' or 'mlflow'"),
    ],
)
def test_what_is_no_list_of_trackers_is_refused(written: str, message: str, tmp_path: Path) -> None:
    pattern = message.replace("(", r"\(").replace(")", r"\)").replace("?", r"\?")
    with pytest.raises(UserError, match=pattern):
        load.load(SMOKE, tracking=yaml.safe_load(written))


def test_the_check_of_the_docs_page_names_the_package_if_it_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    assert CHECK
    command = [str(ROOT / word) if word.startswith("config/") else word for word in shlex.split(CHECK[1])]

    code = main(command)

    shown = capsys.readouterr()
    if find_spec("tensorboard"):
        assert code == 0
    else:
        assert code == 2
        assert re.search(r"tracking: tensorboard: not installed; `pip install tensorboard==[\d.]+`\n$", shown.err)
