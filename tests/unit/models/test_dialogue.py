"""Chat templates that refuse or lose a text, or depend on the date, are refused."""

import re
from pathlib import Path

import pytest

from tests.support import tokenizers_of_kinds as kinds
from trustdag.errors import UserError
from trustdag.models.acquire import acquire
from trustdag.models.base import Folder
from trustdag.models.dialogue import Message, check_template, render
from trustdag.models.load import load_tokenizer

SYSTEM: list[Message] = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hello?"}]


def write_chat_model(folder: Path, template: str) -> Path:
    """A tiny Llama with a tokenizer of that template."""
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = kinds.byte_level(template)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=64,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_a_template_that_refuses_a_system_text_is_named_with_the_mend() -> None:
    with pytest.raises(UserError, match=r"refuses a conversation of system, user \(System role not .* edit its chat"):
        render(SYSTEM, kinds.byte_level(kinds.WITHOUT_SYSTEM), "chat")


def test_a_template_that_leaves_the_system_text_out_is_refused() -> None:
    with pytest.raises(UserError, match=r"leaves out the text of the system \('Be kind\.'\)"):
        render(SYSTEM, kinds.byte_level(kinds.DROPS_SYSTEM), "chat")


@pytest.mark.parametrize("template", [kinds.WITHOUT_SYSTEM, kinds.DROPS_SYSTEM])
def test_such_a_model_is_refused_when_it_is_taken_in(tmp_path: Path, template: str) -> None:
    folder = write_chat_model(tmp_path / "model", template)
    with pytest.raises(UserError, match="its chat template"):
        acquire(Folder(path=str(folder)), "chat", tmp_path / "out")
    assert not (tmp_path / "out" / "manifest.json").exists()
    acquire(Folder(path=str(folder)), "hh", tmp_path / "out")  # the format `hh` needs no template


def test_a_template_that_writes_the_date_is_refused_until_the_date_is_fixed(tmp_path: Path) -> None:
    folder = write_chat_model(tmp_path / "model", kinds.WITH_DATE)
    with pytest.raises(UserError, match=r"today's date .* `template_arguments: \{date_string: "):
        acquire(Folder(path=str(folder)), "chat", tmp_path / "out")
    fixed = Folder(path=str(folder), template_arguments={"date_string": '26 "July"'})
    acquire(fixed, "chat", tmp_path / "out")
    tokenizer = load_tokenizer(tmp_path / "out" / "model")
    check_template(tokenizer)
    assert render(SYSTEM, tokenizer, "chat").startswith('Today 26 "July"\n<|im_start|>system\nBe kind.<|im_end|>')


WITHOUT_THOUGHTS = "{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n\n{% endif %}"
THINKS = kinds.CHATML.replace("assistant\n{% endif %}", f"assistant\n{WITHOUT_THOUGHTS}{{% endif %}}")


def test_a_template_that_asks_for_thoughts_needs_a_choice(tmp_path: Path) -> None:
    folder = write_chat_model(tmp_path / "model", THINKS)
    with pytest.raises(UserError, match=r"`template_arguments: \{enable_thinking: false\}`"):
        acquire(Folder(path=str(folder)), "chat", tmp_path / "out")
    for value, end in ((False, "<think>\n\n</think>\n\n"), (True, "assistant\n")):
        chosen = Folder(path=str(folder), template_arguments={"enable_thinking": value})
        acquire(chosen, "chat", tmp_path / str(value))
        assert render(SYSTEM, load_tokenizer(tmp_path / str(value) / "model"), "chat").endswith(end)


@pytest.mark.parametrize("tag", ["<think>", "<thinking>", "[THINK]", "<|START_THINKING|>", "<seed:think>"])
def test_a_template_that_always_opens_a_thought_is_refused(tag: str) -> None:
    template = kinds.CHATML.replace("assistant\n{% endif %}", f"assistant\n{tag}\n{{% endif %}}")
    with pytest.raises(UserError, match=rf"opens a thought \({re.escape(tag)}\) in every prompt"):
        check_template(kinds.byte_level(template))


@pytest.mark.parametrize("tags", ["<think>\n\n</think>", "[THINK][/THINK]", "<|START_THINKING|><|END_THINKING|>"])
def test_a_template_that_closes_its_thought_is_taken(tags: str) -> None:
    check_template(kinds.byte_level(kinds.CHATML.replace("assistant\n{% endif %}", f"assistant\n{tags}{{% endif %}}")))


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ range(1000) | random }}" + kinds.CHATML, "writes something else each time"),
        (kinds.CHATML.split("{% if add_generation_prompt")[0], r"starts a reply by '<\|im_start\|>assistant'"),
    ],
)
def test_a_template_whose_prompts_are_not_those_of_its_replies_is_refused(template: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        check_template(kinds.byte_level(template))


def test_template_arguments_that_the_template_does_not_read_are_refused(tmp_path: Path) -> None:
    folder = write_chat_model(tmp_path / "model", kinds.CHATML)
    with pytest.raises(UserError, match=r"template_arguments: the chat template of .* reads no enable_thinking"):
        acquire(Folder(path=str(folder), template_arguments={"enable_thinking": False}), "chat", tmp_path / "out")


def test_a_date_in_the_prompts_without_a_system_text_alone_is_found() -> None:
    template = "{% if messages[0]['role'] != 'system' %}{{ strftime_now('%d') }}{% endif %}" + kinds.CHATML
    with pytest.raises(UserError, match="today's date"):
        check_template(kinds.byte_level(template))


@pytest.mark.parametrize("change", ["upper", "escape", "replace('\\n', ' ')", "truncate(20, true, '')"])
def test_a_template_that_changes_texts_is_refused(change: str) -> None:
    with pytest.raises(UserError, match="leaves out the text of the user"):
        check_template(kinds.byte_level(kinds.CHATML.replace("m['content']", f"m['content'] | {change}")))


def test_template_arguments_may_be_any_text(tmp_path: Path) -> None:
    folder = write_chat_model(tmp_path / "model", kinds.WITH_DATE)
    value = "26 \U0001f642 'é' \\n %}{{ 1 }}"
    acquire(Folder(path=str(folder), template_arguments={"date_string": value}), "chat", tmp_path / "out")
    assert render(SYSTEM, load_tokenizer(tmp_path / "out" / "model"), "chat").startswith(f"Today {value}\n<|im_start|>")
