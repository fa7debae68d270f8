"""PPO as a library: the code of docs/ppo.md runs, with settings small enough for a test."""

from pathlib import Path
from typing import Any

import pytest

from tests.support import tiny_models as tiny
from tests.support.pages import blocks, path_of
from trustdag.models.load import load_policy, load_tokenizer

SHORT = "PPOSettings(updates=1, batch_size=2, minibatches=1, epochs=1, max_new_tokens=4, max_length=32)"


def test_the_code_of_ppo_md_trains_a_policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny.write_base(tmp_path / "base")
    monkeypatch.chdir(tmp_path)
    (block,) = blocks(path_of("ppo.md"), "python")
    assert block.code.count("PPOSettings(updates=100)") == 1
    names: dict[str, Any] = {"policy": load_policy(model), "tokenizer": load_tokenizer(model)}
    exec(block.code.replace("PPOSettings(updates=100)", SHORT), names)
    assert names["policy"] is not None
    assert Path("run", "metrics.jsonl").is_file()
