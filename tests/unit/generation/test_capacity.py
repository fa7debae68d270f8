"""A model that is too large to be asked is named before it is loaded, with what would fit."""

from pathlib import Path

import pytest
from transformers import LlamaConfig

from tests.support import tiny_models as tiny
from trustdag.errors import UserError
from trustdag.generation.capacity import cache_bytes, check_memory
from trustdag.generation.settings import GenerateSettings
from trustdag.models.size import Memory, check_loads, parameters_in_folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_base(tmp_path_factory.mktemp("base"))


def test_keys_and_values_of_grouped_heads_are_counted_once() -> None:
    config = LlamaConfig(hidden_size=576, num_hidden_layers=30, num_attention_heads=9, num_key_value_heads=3)
    assert cache_bytes(config, 4) == 2 * 30 * 64 * 3 * 4


def test_weights_that_do_not_fit_are_refused_with_what_would(folder: Path) -> None:
    memory = Memory(4.0 * parameters_in_folder(folder) - 1, "this machine")
    with pytest.raises(UserError, match=r"need .* GB of memory, this machine has .* a model of .* would fit"):
        check_memory(folder, GenerateSettings(), memory, bf16=False)
    check_memory(folder, GenerateSettings(batch_tokens=1), memory, bf16=True)


def test_a_batch_that_may_not_fit_is_said_with_one_that_would(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # given memory for the weights in double precision, and keys and values of 100 tokens (2 layers, width 32)
    memory = Memory(8.0 * parameters_in_folder(folder) + 100 * 2 * 2 * 32 * 8, "this machine")
    check_memory(folder, GenerateSettings(batch_tokens=101), memory, bf16=False)
    assert "`batch_tokens: 100` would fit" in capsys.readouterr().err
    check_memory(folder, GenerateSettings(batch_tokens=100), memory, bf16=False)
    assert capsys.readouterr().err == ""


def test_a_model_that_cannot_be_loaded_is_refused_at_base(folder: Path) -> None:
    with pytest.raises(UserError, match="the GPU has 0 GB"):
        check_loads(folder, 1, Memory(0.0, "the GPU"))
