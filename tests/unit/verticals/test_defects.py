"""The defects of the paper's evaluation (arXiv 2404.18870 and its released code), one test each: ours has none of them.

Where the paper's protocol is kept for comparison, the test also shows that the defect is there. docs/verticals.md lists
each defect beside its test.
"""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from transformers import PreTrainedModel

from tests.support.generation_fixtures import make_items, save_model
from tests.support.verticals_fixtures import ITEMS, own_items, replies, score, settings_of, values
from tests.unit.verticals.test_sources import items, settings
from trustdag.errors import UserError
from trustdag.generation.engine import Engine
from trustdag.generation.settings import GenerateSettings
from trustdag.generation.tables import read_items
from trustdag.models.load import load_policy, load_tokenizer
from trustdag.scorers.base import Scorer
from trustdag.scorers.toy import Toy
from trustdag.verticals import paper, toxicity, verticals
from trustdag.verticals.parsers import agreement, chosen


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = tmp_path_factory.mktemp("model")
    save_model(model)
    return model


@pytest.fixture(scope="module")
def model(folder: Path) -> PreTrainedModel:
    return load_policy(folder).eval()


def ask(model: PreTrainedModel, folder: Path, asked: pd.DataFrame, out: Path, **keys: Any) -> pd.DataFrame:
    return Engine(model, load_tokenizer(folder), "plain", GenerateSettings(**keys)).generate(
        asked, out / "partial", "key"
    )


def synthetic(protocol: str = "sound", **keys: Any) -> Any:
    source = {"source": "synthetic", "per_kind": 20} | keys
    return own_items(verticals()["privacy"].items(settings("privacy", source, protocol).items))


# --- Toxicity ---


def test_samples_are_independent_and_not_beams_of_one_search(
    model: PreTrainedModel, folder: Path, tmp_path: Path
) -> None:
    # A beam is what it is because of the other beams; a sample is the same however many others are drawn.
    asked = make_items(6)
    few = ask(model, folder, asked, tmp_path / "few", samples=2, temperature=1.0, max_new_tokens=8)
    many = ask(model, folder, asked, tmp_path / "many", samples=5, temperature=1.0, max_new_tokens=8)
    assert few["reply"].tolist() == many[many["sample"] < 2]["reply"].tolist()
    # Beams come sorted by probability; samples do not.
    assert not many.groupby("item")["logprob"].apply(lambda values: values.is_monotonic_decreasing).all()


def test_an_empty_reply_is_kept_and_says_nothing_toxic() -> None:
    records = score("toxicity", lambda row, n: "" if n else "grobbin")
    emt = records[records["metric"] == "toxicity"]
    assert (len(emt), set(emt["value"])) == (4, {0.5})
    assert values(records, "toxicity")["empty"] == 0.5


def test_two_prompts_of_one_file_name_are_two_items(toxicity_file: Path) -> None:
    frame = items("toxicity", toxicity_file)
    assert frame["item"].is_unique
    of_one = frame[(frame["cluster"] == "document=1.txt") & (frame["condition"] == "benign")]
    assert len(of_one) == 2


class Failing(Scorer):
    name, version, digest = "failing", "1", "0" * 64

    def score(self, texts: Sequence[str]) -> list[float | None]:
        return [None] * len(texts)


class FailingSettings(Toy):
    def load(self) -> Scorer:
        return Failing()


def test_a_score_that_failed_is_no_number_and_neither_0_nor_minus_1() -> None:
    asked = ITEMS["toxicity"]()
    mixed = replies(asked, lambda row, n: "word" if row.item == "i0" else " ", samples=2)
    chosen_settings = settings_of("toxicity").model_copy(update={"scorers": (FailingSettings(max_failed=0.99),)})
    with pytest.raises(UserError, match="failing: failed on 1 of 1 texts"):
        toxicity.score(asked, mixed, chosen_settings)
    # Given a share that may fail, the item is counted as failed and the mean is over the others.
    some = replies(asked, lambda row, n: f"{'fail' if row.item == 'i0' else 'word'} {n}", samples=2)
    records = toxicity.score(asked, some, settings_of("toxicity").model_copy(update={"scorers": (HalfFailing(),)}))
    toxic = records[records["metric"] == "toxicity"].set_index("item")
    assert toxic.loc["i0", "status"] == "failed"
    assert np.isnan(toxic["value"]["i0"])
    assert set(toxic["value"].drop("i0")) == {0.25}


class FailingOnSome(Failing):
    def score(self, texts: Sequence[str]) -> list[float | None]:
        return [None if "fail" in text else 0.25 for text in texts]


class HalfFailing(Toy):
    max_failed: float = 0.5

    def load(self) -> Scorer:
        return FailingOnSome()


def test_a_prompt_is_toxic_by_its_own_score_and_not_because_it_is_challenging(toxicity_file: Path) -> None:
    benign = {
        protocol: items("toxicity", toxicity_file, protocol=protocol).query("condition == 'benign'")["toxic_prompt"]
        for protocol in ("sound", "paper")
    }
    assert benign["sound"].sum() == 1
    assert benign["paper"].sum() == 2


# --- Stereotypical bias ---


def test_right_in_equal_rights_is_no_agreement() -> None:
    for text in ("All people have equal rights.", "All right, let us talk."):
        assert paper.agreement(text) is True
        assert agreement(text).value is None


def test_echoing_the_question_is_no_agreement(bias_file: Path) -> None:
    frame = items("bias", bias_file)
    for messages in frame["messages"]:
        assert agreement(messages[-1]["content"]).value is None
    published = items("bias", bias_file, protocol="paper").query("condition == 'benign'")
    assert all(paper.agreement(messages[-1]["content"]) for messages in published["messages"])


def test_benign_and_adversarial_prompts_differ_in_the_persona_alone(bias_file: Path) -> None:
    def shapes(protocol: str) -> dict[str, set[str]]:
        frame = items("bias", bias_file, protocol=protocol)
        return {
            condition: {messages[-1]["content"] for messages in rows["messages"]}
            for condition, rows in frame.groupby("condition")
        }

    assert shapes("sound")["benign"] == shapes("sound")["adversarial"]
    in_form = {condition: any("(a)" in text for text in texts) for condition, texts in shapes("paper").items()}
    assert in_form == {"benign": False, "adversarial": True}


def test_agreeing_with_everything_is_told_from_stereotype() -> None:
    numbers = values(score("bias", lambda row, n: "I agree."), "bias")
    assert numbers["agreement"] == 1
    assert numbers["stereotype_index"] == 0
    assert numbers["agreement_counter"] == numbers["agreement_positive"] == 1


# --- Machine ethics ---


def test_unparsed_replies_are_counted_and_do_not_leave_the_denominator_unseen() -> None:
    records = score("ethics", lambda row, n: "Bananas." if row.item in ("i0", "i1") else "no")
    fnr = records[records["metric"] == "fnr"]
    assert len(fnr) == 6
    assert fnr["status"].value_counts().to_dict() == {"parsed": 4, "unparsed": 2}
    assert values(records, "ethics")["unparsed"] == 0.2


def test_a_column_that_does_not_exist_is_an_error_and_no_rate_of_1(tmp_path: Path) -> None:
    ITEMS["ethics"]().drop(columns="wrong").to_parquet(tmp_path / "items.parquet")
    with pytest.raises(UserError, match=r"items.parquet: no column `wrong`|items.parquet.*wrong"):
        read_items(tmp_path / "items.parquet", verticals()["ethics"].GOLD)


def test_always_saying_wrong_is_no_better_than_chance() -> None:
    numbers = values(score("ethics", lambda row, n: "That is wrong."), "ethics")
    assert (numbers["fnr"], numbers["fpr"], numbers["balanced_accuracy"]) == (0, 1, 0.5)


# --- Truthfulness ---


def test_the_question_is_in_the_prompt(truthfulness_file: Path) -> None:
    for protocol, there in (("sound", True), ("paper", False)):
        frame = items("truthfulness", truthfulness_file, protocol=protocol)
        asked = frame[~frame["item"].str.endswith("premise")]
        assert all(("Question" in messages[-1]["content"]) == there for messages in asked["messages"])


def test_options_are_in_an_order_that_the_seed_decides(truthfulness_file: Path) -> None:
    def shown(seed: int) -> list[str]:
        frame = items("truthfulness", truthfulness_file, seed=seed)
        return [messages[-1]["content"] for messages in frame.loc[frame["generate"], "messages"]]

    assert shown(0) == shown(0)
    assert shown(0) != shown(1)


def test_repeating_all_options_is_not_right() -> None:
    text = "(i) one (ii) two (iii) three"
    assert paper.repeats_right(text, "two", "(ii)")
    assert chosen(text, ["one", "two", "three"], ["(i)", "(ii)", "(iii)"]).value is None
    assert values(score("truthfulness", lambda row, n: row.messages[-1]["content"]), "truthfulness")["accuracy"] is None


def test_a_reply_that_cannot_be_parsed_is_not_a_false_answer_and_chance_is_stated() -> None:
    records = score("truthfulness", lambda row, n: "Bananas.")
    accuracy = records[records["metric"] == "accuracy"]
    assert set(accuracy["status"]) == {"unparsed"}
    numbers = values(records, "truthfulness")
    assert numbers["accuracy"] is None
    assert numbers["accuracy_chance"] == 0.25


# --- Privacy ---


def test_the_person_asked_about_stands_in_any_place() -> None:
    assert set(synthetic()["target"]) == {0, 1, 2, 3}
    assert set(synthetic("paper")["target"]) == {3}


def test_no_two_kinds_of_secret_are_spellings_of_one() -> None:
    def spellings(frame: pd.DataFrame) -> int:
        numbers = frame[frame["condition"] == "protected"].groupby("kind")["secret"].first()
        return int(numbers.str.fullmatch(r"\d{3}-?\d{2}-?\d{4}").sum())

    assert spellings(synthetic()) == 1
    assert spellings(synthetic("paper")) == 8


def test_secrets_are_the_same_for_every_model() -> None:
    # Given another process, and a generator that earlier calls have moved on.
    program = (
        "import random; random.seed(1); from trustdag.verticals.sources import privacy;"
        "from trustdag.generation.tables import items_digest;"
        "privacy.items(privacy.SyntheticPeople(per_kind=3)); random.random();"
        "print(items_digest(privacy.items(privacy.SyntheticPeople(per_kind=20)).assign(expected='')))"
    )
    from trustdag.generation.tables import items_digest

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == items_digest(synthetic())


def test_no_distractor_is_the_secret_that_is_asked_for() -> None:
    frame = synthetic(per_kind=100)
    secrets = frame[frame["condition"] != "harmless"]
    assert not any(row.secret in row.distractors for row in secrets.itertuples())
    assert set(secrets["distractors"].map(len)) == {3}
    assert frame.query("condition == 'protected'")["secret"].is_unique


def test_a_model_that_cannot_copy_is_told_from_one_that_keeps_secrets() -> None:
    def keeps(row: Any, n: int) -> str:
        return row.secret if row.condition != "protected" else "I'm sorry, but I cannot share that."

    mute, discreet = (values(score("privacy", say), "privacy") for say in (lambda row, n: "Bananas.", keeps))
    assert mute["leak"] == discreet["leak"] == 0
    assert (mute["able"], discreet["able"]) == (0, 1)
    assert mute["leak_given_able"] == pytest.approx(np.nan, nan_ok=True)
    assert discreet["leak_given_able"] == 0
    assert set(synthetic("paper")["condition"]) == {"protected"}


# --- Everywhere ---


def test_the_same_seed_gives_the_same_replies_and_another_gives_others(
    model: PreTrainedModel, folder: Path, tmp_path: Path
) -> None:
    keys = {"samples": 2, "temperature": 1.0, "max_new_tokens": 8}
    first, again, other = (
        ask(model, folder, make_items(6), tmp_path / str(number), seed=seed, **keys)["reply"].tolist()
        for number, seed in enumerate((0, 0, 1))
    )
    assert first == again != other


def test_items_are_asked_many_at_a_time(model: PreTrainedModel, folder: Path, tmp_path: Path) -> None:
    rows = []
    hook = model.register_forward_pre_hook(
        lambda _, __, keys: rows.append(keys["input_ids"].shape[0]), with_kwargs=True
    )
    try:
        answered = ask(model, folder, make_items(30), tmp_path, max_new_tokens=8)
    finally:
        hook.remove()
    assert len(answered) == 30
    assert max(rows) == 30
    assert len(rows) < 30


def test_what_follows_the_tokenizers_own_end_of_text_is_not_read(
    model: PreTrainedModel, folder: Path, tmp_path: Path
) -> None:
    # Given a model whose configuration names another token as the end, as the paper's code did (50256).
    tokenizer = load_tokenizer(folder)
    assert model.generation_config.eos_token_id != tokenizer.eos_token_id
    answered = ask(model, folder, make_items(40), tmp_path, samples=4, temperature=1.5, max_new_tokens=60)
    ended = answered[answered["ended"]]
    assert len(ended)
    assert (ended["tokens"] < 60).all()
    assert not answered["reply"].str.contains("<|endoftext|>", regex=False).any()
