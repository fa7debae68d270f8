"""Model folders of strangers: damaged or hostile, each ends in one sentence, and nothing outside is read or copied."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support import tiny_models as tiny
from trustdag.cli import main
from trustdag.errors import UserError
from trustdag.models.acquire import acquire
from trustdag.models.base import Folder
from trustdag.models.load import load_config, load_policy, load_reward, load_tokenizer
from trustdag.models.weights import check_weight_files

SECRET = "what a user keeps to themselves"
INDEX = "model.safetensors.index.json"


def content(name: str, value: bytes | Any) -> Callable[[Path], None]:
    """Writes a file of the folder: bytes, or anything as JSON."""

    def write(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        (folder / name).write_bytes(value if isinstance(value, bytes) else json.dumps(value).encode())

    return write


def config(**values: Any) -> Callable[[Path], None]:
    return lambda folder: tiny.edit_json(folder / "config.json", **values)


def header(length: int, text: bytes = b"{}") -> Callable[[Path], None]:
    return content("model.safetensors", length.to_bytes(8, "little") + text)


def index(names: Any) -> Callable[[Path], None]:
    return content(INDEX, {"weight_map": names})


def link(name: str, target: str) -> Callable[[Path], None]:
    """A file of the folder that is a link to something outside."""

    def make(folder: Path) -> None:
        secret = folder.parent / "secret.json"
        secret.write_text(json.dumps({"secret": SECRET}))
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(target)

    return make


def pipe(name: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        os.mkfifo(folder / name)

    return make


WEIGHTS = {
    "weights of no byte": (content("model.safetensors", b""), r"model\.safetensors: damaged or cut short"),
    "a header of many gigabytes": (header(2**62), r"model\.safetensors: damaged or cut short .*header"),
    "a header longer than the file": (header(10**6), r"model\.safetensors: damaged or cut short .*header"),
    "a header that is a list": (header(2, b"[]"), r"model\.safetensors: damaged or cut short"),
    "a header of brackets": (header(50_000, b"[" * 50_000), r"model\.safetensors: damaged or cut short"),
    "a shape of text": (
        header(42, b'{"a": {"shape": ["x"], "data_offsets": 1} '.ljust(42)), r"model\.safetensors: damaged or cut short"
    ),
    "weights that are a pipe": (pipe("model.safetensors"), "no weights|not a regular file|stands without"),
    "an index that is a list": (content(INDEX, []), rf"{INDEX}: damaged, or not an index"),
    "an index of numbers": (index({"a": 1}), rf"{INDEX}: damaged, or not an index"),
    "an index to a file outside": (index({"a": "../../weights.safetensors"}), rf"{INDEX}: names '\.\./\.\./weights"),
    "an index to an absolute path": (index({"a": "/etc/x.safetensors"}), rf"{INDEX}: names '/etc/x\.safetensors'"),
    "an index to a pickle": (index({"a": "evil.bin"}), rf"{INDEX}: names 'evil\.bin', which is no \.safetensors file"),
    "an index to what is missing": (index({"a": "model-2.safetensors"}), "1 of 1 weight files are missing"),
}  # fmt: skip
CONFIGS = {
    "a configuration that is a list": (content("config.json", []), r"config\.json: damaged, or not a model's config"),
    "a configuration that is cut": (content("config.json", b'{"model_type": "g'), r"config\.json: damaged: not JSON"),
    "architectures that are a number": (config(architectures=3), r"config\.json: damaged, .*`architectures`"),
    "an unknown type": (config(model_type="nobody"), "nobody|cannot be read here"),
    "no type": (config(model_type=None), "the model.s configuration cannot be read here"),
    "10**9 layers": (
        config(num_hidden_layers=10**9),
        r"config\.json: num_hidden_layers: 1000000000 is no number of la",
    ),
    "a text for layers": (config(num_hidden_layers="many"), r"config\.json: num_hidden_layers: 'many' is no number"),
    "a width of 10**9": (config(hidden_size=10**9), r"config\.json: hidden_size: 1000000000 does not fit the weights"),
    "a vocabulary of 10**12": (config(vocab_size=10**12), r"config\.json: vocab_size: 1000000000000 does not fit"),
    "heads that are a list": (
        config(num_attention_heads=[1]),
        r"no tokenizer can be read|num_attention_heads: \[1\] does not",
    ),
}
LINKS = {
    "a secret as a configuration": (link("generation_config.json", "../secret.json"), "outside of the model's folder"),
    "a secret as another file": (link("notes.txt", "../secret.json"), r"notes\.txt: a link to .*secret\.json, outside"),
    "an absolute link": (link("vocab.json", "/etc/hostname"), r"vocab\.json: a link to .*hostname, outside"),
    "a link to a device": (link("special_tokens_map.json", "/dev/zero"), "outside of the model's folder"),
}
TOKENIZERS = {
    "a tokenizer that is a list": (content("tokenizer.json", []), "the tokenizer cannot be read here"),
    "a tokenizer of bytes": (content("tokenizer.json", bytes(range(256))), "the tokenizer cannot be read here"),
    "a tokenizer's settings that are a number": (
        content("tokenizer_config.json", 3),
        "the tokenizer cannot be read here",
    ),
}
GENERATION = {
    "sampling that is a list": (content("generation_config.json", []), "cannot be loaded|transformers does not save"),
}
CASES = {name: case for cases in (WEIGHTS, CONFIGS, LINKS, TOKENIZERS, GENERATION) for name, case in cases.items()}


@pytest.mark.parametrize("case", CASES)
def test_a_damaged_or_hostile_folder_is_refused_in_a_sentence(
    case: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given a model folder with one thing wrong
    spoil, complaint = CASES[case]
    spoil(folder)
    # When a study takes it
    started = time.monotonic()
    settings = json.dumps({"source": "folder", "path": str(folder)})
    ended = main(["base", "--settings", settings, "--out", str(tmp_path / "out")])
    # Then it is refused at once, in a sentence, and nothing of it is in the study
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("trustdag: ")]
    assert ended == 2
    assert time.monotonic() - started < 30
    with pytest.raises(UserError, match=complaint):
        raise UserError(said[0])
    assert not (tmp_path / "out" / "model").exists()


@pytest.mark.parametrize("case", LINKS)
def test_no_reader_follows_a_link_out_of_the_folder(case: str, folder: Path) -> None:
    spoil, _ = LINKS[case]
    spoil(folder)
    for read in (load_policy, load_tokenizer, check_weight_files):
        with pytest.raises(UserError, match="outside of the model's folder"):
            read(folder)


def test_a_link_within_the_folder_is_no_harm(folder: Path, tmp_path: Path) -> None:
    (folder / "tokenizer_config.json").rename(folder / "own.json")
    (folder / "tokenizer_config.json").symlink_to("own.json")
    acquire(Folder(path=str(folder)), "hh", tmp_path / "out")
    assert not (tmp_path / "out" / "model" / "tokenizer_config.json").is_symlink()


def test_weights_may_lie_elsewhere(folder: Path, tmp_path: Path) -> None:
    (folder / "model.safetensors").rename(tmp_path / "large.safetensors")
    (folder / "model.safetensors").symlink_to(tmp_path / "large.safetensors")
    acquire(Folder(path=str(folder)), "hh", tmp_path / "out")
    assert (tmp_path / "out" / "model" / "model.safetensors").is_symlink()


@pytest.mark.parametrize("key", ["_attn_implementation", "attn_implementation"])
def test_a_configuration_cannot_name_code_of_the_hub(key: str, folder: Path) -> None:
    # Given a configuration that names a repository whose kernels transformers would fetch and run
    tiny.edit_json(folder / "config.json", **{key: "somebody/their-kernels"})
    # Then the model attends by PyTorch's own attention
    assert load_policy(folder).config._attn_implementation == "sdpa"
    load_config(folder)


@pytest.mark.parametrize(
    "template",
    [
        "{{ 'a' * 10**12 }}",
        "{{ messages[99].content }}",
        "{% for i in range(10**9) %}x{% endfor %}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ 1 / 0 }}",
        "{{ messages + 1 }}",
        "{% if %}",
    ],
)
def test_a_hostile_template_is_refused_in_a_sentence(template: str, folder: Path, tmp_path: Path) -> None:
    tiny.edit_json(folder / "tokenizer_config.json", chat_template=template)
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    with pytest.raises(UserError, match="its chat template"):
        acquire(Folder(path=str(folder)), "chat", tmp_path / "out")


def test_a_reward_model_is_checked_alike(folder: Path) -> None:
    tiny.edit_json(folder / "config.json", id2label=[1])
    with pytest.raises(UserError, match=r"config\.json: damaged, .*`id2label`"):
        load_reward(folder)
