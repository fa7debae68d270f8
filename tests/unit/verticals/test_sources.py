"""Items from publishers' files: irregularities are counted, and errors name their position."""

import gzip
import json
import re
from collections import Counter
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pydantic import ValidationError

from tests.support.verticals_fixtures import own_items
from trustdag.errors import UserError
from trustdag.generation.tables import items_digest
from trustdag.verticals import verticals
from trustdag.verticals.sources import secrets
from trustdag.verticals.sources.bias import opposite


def settings(vertical: str, source: dict[str, Any], protocol: str = "sound", **keys: Any) -> Any:
    return verticals()[vertical].Settings.model_validate({"protocol": protocol, "items": source | keys})


def items(vertical: str, *paths: Path, protocol: str = "sound", **keys: Any) -> Any:
    source = {"source": "file", "paths": [str(path) for path in paths]}
    return own_items(verticals()[vertical].items(settings(vertical, source, protocol, **keys).items))


def test_toxicity_counts_what_is_odd_and_drops_nothing_in_silence(toxicity_file: Path) -> None:
    frame = items("toxicity", toxicity_file)
    assert len(frame) == 4 * 2
    assert frame["item"].is_unique
    assert frame.attrs["notes"] == {
        "continuations without a score": 1,
        "prompts without a score, left out": 1,
        "further prompts of a document": 2,
        "repeated texts": 1,
        "challenging prompts with a score below 0.5": 1,
    }
    assert frame["cluster"].nunique() == 2


def test_toxicity_takes_the_score_for_the_prompts_class_and_the_paper_takes_the_flag(toxicity_file: Path) -> None:
    sound = items("toxicity", toxicity_file).query("condition == 'benign'")["toxic_prompt"].tolist()
    paper = items("toxicity", toxicity_file, protocol="paper").query("condition == 'benign'")["toxic_prompt"].tolist()
    assert sound == [True, False, False, False]
    assert paper == [True, True, False, False]


@pytest.mark.parametrize("vertical", ["toxicity", "bias", "ethics"])
def test_both_conditions_ask_in_the_same_words_and_the_persona_alone_differs(
    vertical: str, request: pytest.FixtureRequest
) -> None:
    frame = items(vertical, request.getfixturevalue(f"{vertical}_file"))
    asked = frame.assign(
        user=[messages[-1]["content"] for messages in frame["messages"]],
        roles=[[message["role"] for message in messages] for messages in frame["messages"]],
    )
    assert {tuple(roles) for roles in asked["roles"]} == {("system", "user")}
    counts = {condition: Counter(rows["user"]) for condition, rows in asked.groupby("condition")}
    assert set(counts["benign"]) == set(counts["adversarial"])


def test_ethics_reads_quotes_and_line_breaks_and_asks_six_prefixes(ethics_file: Path) -> None:
    frame = items("ethics", ethics_file)
    assert len(frame) == 4 * 6
    assert frame.groupby("cluster")["messages"].size().eq(6).all()
    assert any('AITA for\nwriting "long" posts?' in messages[-1]["content"] for messages in frame["messages"])
    assert frame.drop_duplicates("cluster")["wrong"].tolist() == [False, True, False, True]
    assert set(frame["length"]) == {"short", "long"}
    assert set(items("ethics", ethics_file, lengths="short")["length"]) == {"short"}
    for row in frame.itertuples():
        assert row.options[row.wrong_option] == "Yes"


def test_truthfulness_asks_the_question_and_seeds_the_order(truthfulness_file: Path) -> None:
    frame = items("truthfulness", truthfulness_file)
    asked = frame[~frame["item"].str.endswith("premise")]
    assert all("Question" in messages[-1]["content"] for messages in asked["messages"])
    choice = frame[frame["generate"]]
    assert set(choice["right"]) == {0, 1, 2}
    assert items_digest(frame) == items_digest(items("truthfulness", truthfulness_file))
    assert items_digest(frame) != items_digest(items("truthfulness", truthfulness_file, seed=1))
    for row in frame[~frame["generate"]].itertuples():
        assert row.options[row.best] == "right"
        assert row.correct == [True, True, False, False]


def test_the_papers_truthfulness_prompt_has_no_question(truthfulness_file: Path) -> None:
    frame = items("truthfulness", truthfulness_file, protocol="paper")
    assert not any("Question" in messages[-1]["content"] for messages in frame["messages"])


def test_truthfulness_reads_the_hubs_parquet_as_the_publishers_json(truthfulness_file: Path, tmp_path: Path) -> None:
    raw = json.loads(gzip.decompress(truthfulness_file.read_bytes()))
    for record in raw:
        for name in ("mc1_targets", "mc2_targets"):
            record[name] = {"choices": list(record[name]), "labels": list(record[name].values())}
    pd.DataFrame(raw).to_parquet(tmp_path / "validation.parquet")
    assert items_digest(items("truthfulness", tmp_path / "validation.parquet")) == items_digest(
        items("truthfulness", truthfulness_file)
    )


def test_bias_has_controls_and_both_orders_of_the_answers(bias_file: Path) -> None:
    frame = items("bias", bias_file)
    counts = frame.groupby(["stance", "agree_option", "condition"]).size()
    assert counts["stereotype"].eq(4).all()
    assert counts["counter"].eq(4).all()
    assert counts["positive"].nunique() == 1
    for row in frame.itertuples():
        assert row.options[row.agree_option] == "I agree."
        question = row.messages[-1]["content"]
        assert question.index(row.options[0]) < question.index(row.options[1])


def test_groups_that_share_a_statement_are_one_cluster(bias_file: Path) -> None:
    frame = items("bias", bias_file)
    about_topics = frame[frame["stance"] != "positive"]
    praise = frame[frame["stance"] == "positive"]

    assert (about_topics["cluster"] == "topic=" + about_topics["topic"]).all()
    assert praise["cluster"].nunique() == 6
    assert praise.groupby("cluster")["group"].nunique().eq(frame["group"].nunique()).all()


@pytest.mark.parametrize(
    ("said", "denied"),
    [
        ("are late.", "are not late."),
        ("are not strong.", "are strong."),
        ("cannot sing.", "can sing."),
        ("can sing.", "can not sing."),
        ("should never lead.", "should lead."),
        ("should not lead.", "should lead."),
        ("should lead.", "should not lead."),
        ("do not understand it.", "do understand it."),
        ("have a cold.", "do not have a cold."),
        ("only lie.", "do not only lie."),
    ],
)
def test_the_opposite_of_a_statement(said: str, denied: str) -> None:
    assert opposite(f"[target_group] {said}") == f"[target_group] {denied}"


def test_a_limit_draws_records_that_do_not_depend_on_the_condition(bias_file: Path) -> None:
    frame = items("bias", bias_file, limit=2)
    assert frame[frame["stance"] == "stereotype"]["item"].str.split("|").str[1].nunique() == 2


def test_privacy_has_unique_secrets_random_places_and_matched_controls() -> None:
    frame = own_items(verticals()["privacy"].items(settings("privacy", {"source": "synthetic", "per_kind": 20}).items))
    assert items_digest(frame) == items_digest(
        own_items(verticals()["privacy"].items(settings("privacy", {"source": "synthetic", "per_kind": 20}).items))
    )
    protected = frame[frame["condition"] == "protected"]
    assert protected["secret"].is_unique
    assert set(protected["target"]) == {0, 1, 2, 3}
    assert protected["kind"].str.contains("social security").sum() == 20
    assert set(frame["cluster"]) == {f"kind={kind}" for kind in set(protected["kind"])}
    for _, rows in frame.groupby(frame["item"].str.rsplit(" ", n=1).str[0]):
        by: dict[Any, Any] = {row.condition: row for row in rows.itertuples()}
        assert set(by) == {"protected", "control", "neutral", "harmless"}
        # A neutral string has the secret's format and is none of the secrets; a harmless fact stands among them.
        assert by["neutral"].secret not in by["protected"].messages[0]["content"]
        assert by["harmless"].messages[0]["content"].startswith(by["control"].messages[0]["content"])
        assert by["protected"].secret == by["control"].secret
        assert by["protected"].messages[0]["content"].startswith(by["control"].messages[0]["content"])
        assert by["protected"].messages[1] == by["control"].messages[1]
        assert by["harmless"].secret not in by["protected"].messages[0]["content"]
    row: Any
    for row in frame.itertuples():
        assert row.secret in row.messages[0]["content"]
        assert row.secret not in row.distractors


def test_the_papers_privacy_items_have_the_target_last_and_no_control() -> None:
    frame = verticals()["privacy"].items(settings("privacy", {"source": "synthetic", "per_kind": 20}, "paper").items)
    assert set(frame["target"]) == {3}
    assert set(frame["condition"]) == {"protected"}
    assert frame["kind"].nunique() == 18


def test_secrets_can_never_be_real() -> None:
    import random

    rng = random.Random(0)
    reserved = [ip_network(net) for net in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")]
    for _ in range(200):
        assert 900 <= int(secrets.social_security_number(rng)[:3]) <= 999
        assert re.fullmatch(r"\(\d{3}\) 555-01\d\d", secrets.phone_number(rng))
        assert re.fullmatch(r".*@example\.(com|net|org)", secrets.email_address(rng))
        card = secrets.credit_card_number(rng).replace(" ", "")
        assert int(card[-1]) != secrets.luhn(card[:-1])
        assert secrets.bank_account_number(rng).startswith("DE00")
        assert secrets.passport_number(rng).startswith("UTO ")
        address = ip_address(secrets.ip_address(rng).split(":")[0])
        assert any(address in net for net in reserved)
        assert re.search(r"Zip 000\d\d$", secrets.home_address(rng))


def test_the_check_digit_of_a_known_card_number() -> None:
    # ISO/IEC 7812's own example: 4992 7398 716.
    assert secrets.luhn("4992739871") == 6


def test_a_kind_that_runs_out_of_secrets_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    import random

    with pytest.raises(RuntimeError, match="no new value"):
        list(secrets.unique(lambda rng: rng.choice("ab"), random.Random(0)))


OTHERS = {"toxicity": "ethics", "bias": "ethics", "ethics": "bias", "truthfulness": "toxicity"}


@pytest.mark.parametrize(("vertical", "other"), OTHERS.items())
def test_a_file_of_another_benchmark_is_an_error_that_names_it(
    vertical: str, other: str, request: pytest.FixtureRequest
) -> None:
    path = request.getfixturevalue(f"{other}_file")
    with pytest.raises(UserError, match=path.name):
        items(vertical, path)


@pytest.mark.parametrize("vertical", ["toxicity", "truthfulness"])
def test_a_truncated_gzip_file_is_an_error_that_names_it(vertical: str, request: pytest.FixtureRequest) -> None:
    path = request.getfixturevalue(f"{vertical}_file")
    path.write_bytes(path.read_bytes()[:-12])
    with pytest.raises(UserError, match="damaged or cut short"):
        items(vertical, path)


def test_a_missing_column_a_missing_file_and_bad_lines_are_named(tmp_path: Path, ethics_file: Path) -> None:
    ethics_file.write_text("label,input\n0,x\n")
    with pytest.raises(UserError, match="no column is_short"):
        items("ethics", ethics_file)
    with pytest.raises(UserError, match=r"gone.csv: no such file"):
        items("ethics", tmp_path / "gone.csv")
    with pytest.raises(UserError, match=r"gone.csv: no such file"):
        verticals()["ethics"].files(settings("ethics", {"source": "file", "paths": [str(tmp_path / "gone.csv")]}).items)
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"filename": "a", "prompt": {"text": "x", "toxicity": 1}}\nnot json\n')
    with pytest.raises(UserError, match=r"bad.jsonl:2: not JSON: .*another benchmark's file"):
        items("toxicity", bad)
    bad.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="not UTF-8"):
        items("toxicity", bad)


def test_the_hub_is_read_at_a_pinned_commit_and_says_so_when_it_cannot_be(
    monkeypatch: pytest.MonkeyPatch, toxicity_file: Path
) -> None:
    import huggingface_hub

    asked: dict[str, Any] = {}

    def download(repository: str, file: str, **keys: Any) -> str:
        asked.update(keys, repository=repository, file=file)
        return str(toxicity_file)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    chosen = settings("toxicity", {"source": "hub"}).items
    assert len(own_items(verticals()["toxicity"].items(chosen))) == 8
    assert re.fullmatch(r"[0-9a-f]{40}", asked["revision"])
    assert asked["repo_type"] == "dataset"

    def offline(*_: Any, **__: Any) -> None:
        raise huggingface_hub.errors.OfflineModeIsEnabled("offline")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", offline)
    with pytest.raises(UserError, match="without a network, give the publisher's file"):
        verticals()["toxicity"].items(chosen)
    with pytest.raises(ValidationError, match="revision"):
        settings("toxicity", {"source": "hub", "revision": "main"})
    with pytest.raises(ValidationError, match="revision"):
        settings("ethics", {"source": "hub"})


def test_the_protocol_reaches_every_part_and_the_users_keys_prevail() -> None:
    sound = settings("toxicity", {"source": "file", "paths": ["x"]})
    assert (sound.items.protocol, sound.score.protocol, sound.generate.samples) == ("sound", "sound", 10)
    paper = settings("toxicity", {"source": "file", "paths": ["x"]}, "paper")
    assert (paper.items.protocol, paper.score.protocol, paper.generate.samples) == ("paper", "paper", 5)
    module = verticals()["toxicity"]
    raw = {"protocol": "paper", "items": {"source": "file", "paths": ["x"]}, "generate": {"samples": 7}}
    assert module.Settings.model_validate(raw).generate.samples == 7
    assert module.Settings.model_validate(paper.model_dump()) == paper
    with pytest.raises(ValidationError, match="toy world"):
        settings("toxicity", {"source": "toy"}, "paper")
    with pytest.raises(ValidationError, match="needs as many samples"):
        module.Settings.model_validate({"items": {"source": "toy"}, "score": {"k": 9}})


def test_unknown_keys_are_refused() -> None:
    with pytest.raises(ValidationError, match="pathes"):
        settings("ethics", {"source": "file", "paths": ["x"], "pathes": ["y"]})


# --- What another program has written, and what no benchmark has ---

DEED = "label,input,is_short\n0,I helped,True\n"
QUESTION = {"question": "Q?", "mc1_targets": {"a": 1, "b": 0}, "mc2_targets": {"a": 1, "b": 0}}
PROMPT = {"filename": "f", "begin": 0, "prompt": {"text": "He said", "toxicity": 0.9}}


@pytest.mark.parametrize(
    ("vertical", "content"),
    [("ethics", DEED), ("truthfulness", json.dumps([QUESTION])), ("toxicity", json.dumps(PROMPT))],
)
def test_a_byte_order_mark_is_no_content(vertical: str, content: str, tmp_path: Path) -> None:
    (tmp_path / "plain").write_text(content, "utf-8")
    (tmp_path / "marked").write_text(content, "utf-8-sig")
    plain, marked = items(vertical, tmp_path / "plain"), items(vertical, tmp_path / "marked")
    assert items_digest(plain) == items_digest(marked)


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\u0085"])
def test_a_line_separator_in_a_text_ends_no_line(separator: str, tmp_path: Path) -> None:
    record = PROMPT | {"prompt": {"text": f"He{separator}said", "toxicity": 0.9}}
    (tmp_path / "file").write_text(json.dumps(record, ensure_ascii=False) + "\r\n", "utf-8")
    assert f"He{separator}said" in items("toxicity", tmp_path / "file")["messages"][0][-1]["content"]


@pytest.mark.parametrize(
    ("vertical", "content", "message"),
    [
        ("ethics", "", "no column label"),
        ("ethics", "label,input,is_short\n", "no item of ethics is in it"),
        ("ethics", DEED + '1,"' + 200_000 * "a" + '",True\n', "not CSV"),
        ("ethics", DEED + '1," ",True\n', "row 3: no text in `input`"),
        ("truthfulness", "[]", "no item of truthfulness is in it"),
        ("truthfulness", json.dumps([QUESTION | {"question": None}]), "record 0: no question"),
        ("truthfulness", json.dumps([QUESTION | {"mc1_targets": {"a": 1, " ": 0}}]), "record 0: no question"),
        ("truthfulness", json.dumps([QUESTION | {"mc1_targets": {"a": "1", "b": "0"}}]), "labelled 1 and 0"),
        ("truthfulness", json.dumps([QUESTION | {"mc2_targets": {"a": 1, "b": 1}}]), "labelled 1 and 0"),
        ("toxicity", "\n", "no item of toxicity is in it"),
        (
            "toxicity",
            json.dumps(PROMPT | {"prompt": {"text": "a", "toxicity": float("nan")}}),
            "1: toxicity nan is no",
        ),
        ("toxicity", json.dumps(PROMPT | {"prompt": {"text": "a", "toxicity": "high"}}), "1: toxicity 'high' is no"),
        ("toxicity", json.dumps(PROMPT | {"prompt": {"text": " ", "toxicity": 0.9}}), "1: no `prompt` with a `text`"),
    ],
)
def test_what_no_benchmark_has_is_named(vertical: str, content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text(content)
    with pytest.raises(UserError, match=f"^{tmp_path}/file:.*{message}"):
        items(vertical, tmp_path / "file")
