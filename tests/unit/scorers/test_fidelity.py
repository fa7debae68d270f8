"""Scorers: their identity, their failures, and their agreement with Perspective's scores."""

import datetime
import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.verticals_fixtures import replies, settings_of, toxicity_items
from trustdag.cli import main
from trustdag.errors import UserError
from trustdag.scorers import fidelity, perspective, profanity
from trustdag.scorers.base import Scorer
from trustdag.scorers.perspective import Perspective, PerspectiveScorer, Refused
from trustdag.scorers.profanity import Profanity
from trustdag.scorers.toy import Toy
from trustdag.verticals import toxicity


class Halting(Scorer):
    """Fails on some texts."""

    name, version, digest = "halting", "1", "0" * 64

    def score(self, texts: Sequence[str]) -> list[float | None]:
        return [None if "fail" in text else 0.25 for text in texts]


class HaltingSettings(Toy):
    def load(self) -> Scorer:
        return Halting()


def numbers(scorer: Scorer, texts: Sequence[str]) -> list[float]:
    """Scores of texts none of which fails."""
    scores = [score for score in scorer.score(texts) if score is not None]
    assert len(scores) == len(texts)
    return scores


def answer(value: float | None) -> dict[str, Any]:
    return {"attributeScores": {"TOXICITY": {"summaryScore": {"value": value}}}}


def test_the_default_scorer_tells_insults_from_kind_words_and_says_what_it_is() -> None:
    scorer = Profanity().load()
    rude, kind = numbers(scorer, ["you stupid idiot", "what a lovely day"])
    assert rude > 0.8 > 0.2 > kind
    assert scorer.score([]) == []
    assert scorer.identity()["version"] == "1.9.1"
    assert len(scorer.identity()["digest"]) == 64


def test_a_pickle_that_is_not_the_known_one_is_never_loaded(tmp_path: Path) -> None:
    for name in profanity.WEIGHTS:
        (tmp_path / name).write_bytes(b"\x80\x04cos\nsystem\n")
    with pytest.raises(UserError, match="unknown pickle"):
        profanity.ProfanityScorer(tmp_path)


def test_a_few_failed_texts_are_counted_and_more_are_an_error() -> None:
    items = toxicity_items()
    said = replies(items, lambda row, n: "fail" if row.item == "i0" else f"fine {row.item} {n}", samples=2)
    settings = settings_of("toxicity").model_copy(update={"scorers": (HaltingSettings(max_failed=0.5),)})
    records = toxicity.score(items, said, settings)
    emt = records[records["metric"] == "emt"].set_index("item")
    assert emt["status"].to_dict() == {"i0": "failed", "i1": "parsed", "i2": "parsed", "i3": "parsed"}
    assert np.isnan(emt["value"]["i0"])
    strict = settings.model_copy(update={"scorers": (HaltingSettings(max_failed=0.05),)})
    with pytest.raises(UserError, match="halting: failed on 1 of 7 texts"):
        toxicity.score(items, said, strict)


def test_several_scorers_give_metrics_of_their_own_and_are_named_in_the_records() -> None:
    items = toxicity_items()
    said = replies(items, lambda row, n: "a stupid idiot" if n else "a grobbin", samples=2)
    settings = settings_of("toxicity").model_copy(update={"scorers": (Toy(), Profanity())})
    records = toxicity.score(items, said, settings)
    assert {"emt", "emt.profanity", "toxicity", "toxicity.profanity"} <= set(records["metric"])
    assert [scorer["name"] for scorer in records.attrs["scorers"]] == ["toy", "profanity"]


@pytest.mark.parametrize(
    ("scores", "k", "expected"),
    [([0.1, 0.9], 2, 0.9), ([0.1, 0.9], 1, 0.5), ([0, 0, 1], 2, 2 / 3), ([0.5] * 7, 3, 0.5)],
)
def test_the_expected_maximum_is_the_mean_over_all_subsets(scores: list[float], k: int, expected: float) -> None:
    assert toxicity.expected_maximum(scores, k) == pytest.approx(expected)


def test_the_expected_maximum_is_unbiased() -> None:
    rng = np.random.default_rng(0)
    estimates = [toxicity.expected_maximum(rng.random(10).tolist(), 5) for _ in range(4000)]
    # Of five uniform numbers the expected maximum is 5/6.
    assert np.mean(estimates) == pytest.approx(5 / 6, abs=4 * np.std(estimates) / 4000**0.5)


def test_too_few_samples_for_k_are_an_error() -> None:
    items = toxicity_items()
    said = replies(items, lambda row, n: "x", samples=2)
    with pytest.raises(UserError, match=r"2 samples, fewer than score.k = 5"):
        toxicity.score(items, said, settings_of("toxicity", k=5))


def test_perspective_needs_a_key_and_refuses_after_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(perspective.KEY, raising=False)
    monkeypatch.setattr(perspective, "ENDS", datetime.date.today())
    with pytest.raises(UserError, match="PERSPECTIVE_API_KEY"):
        Perspective().load()
    monkeypatch.setattr(perspective, "ENDS", datetime.date.today() - datetime.timedelta(days=1))
    with pytest.raises(UserError, match=r"ended on 31 December 2026; use `name: profanity`"):
        Perspective().load()


def service(tmp_path: Path, answers: list[Any], **settings: Any) -> tuple[PerspectiveScorer, list[str], list[float]]:
    asked: list[str] = []
    slept: list[float] = []

    def post(body: dict[str, Any]) -> Any:
        asked.append(body["comment"]["text"])
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    chosen = Perspective(cache=str(tmp_path / "cache.jsonl"), requests_per_second=1000, **settings)
    return PerspectiveScorer(chosen, post, slept.append), asked, slept


def test_perspective_retries_with_waits_that_double_and_asks_each_text_once(tmp_path: Path) -> None:
    scorer, asked, slept = service(tmp_path, [Refused(429, "slow down"), Refused(0, "no route"), answer(0.7)])
    assert scorer.score(["a", "a"]) == [0.7, 0.7]
    assert asked == ["a", "a", "a"]
    assert [wait for wait in slept if wait >= 1] == [1.0, 2.0]
    again, asked, _ = service(tmp_path, [])
    assert again.score(["a"]) == [0.7]
    assert asked == []
    assert '"a"' not in (tmp_path / "cache.jsonl").read_text()


def test_perspective_fails_closed(tmp_path: Path) -> None:
    # Given answers without a score, with one out of range, a refusal, and none at all: no number comes of them.
    bad = [{"attributeScores": {}}, answer(1.5), answer(None), Refused(400, "language")]
    scorer, _, _ = service(tmp_path, bad)
    assert scorer.score(["a", "b", "c", "d"]) == [None] * 4
    scorer, asked, _ = service(tmp_path, [Refused(503, "down")] * 3, attempts=3)
    assert scorer.score(["a"]) == [None]
    assert len(asked) == 3
    scorer, _, _ = service(tmp_path, [Refused(403, "bad key")])
    with pytest.raises(UserError, match="refused the key"):
        scorer.score(["a"])


def pairs(ours: Sequence[float] | np.ndarray, theirs: Sequence[float] | np.ndarray) -> fidelity.Pairs:
    return fidelity.Pairs([""] * len(ours), np.array(ours, dtype=float), np.array(theirs, dtype=float))


def test_fidelity_of_known_pairs() -> None:
    perfect = fidelity.measure(pairs([0.1, 0.2, 0.8, 0.9], [0.0, 0.3, 0.6, 1.0]))
    assert (perfect["spearman"], perfect["auc"], perfect["toxic"]) == (pytest.approx(1.0), 1.0, 2)
    reverse = fidelity.measure(pairs([0.9, 0.8, 0.2, 0.1], [0.0, 0.3, 0.6, 1.0]))
    assert (reverse["spearman"], reverse["auc"]) == (pytest.approx(-1.0), 0.0)
    constant = fidelity.measure(pairs([0.5] * 4, [0.0, 0.3, 0.6, 1.0]))
    assert (constant["spearman"], constant["auc"]) == (None, 0.5)
    assert fidelity.measure(pairs([0.5], [0.1]))["auc"] is None


def test_a_calibration_is_monotone_versioned_and_belongs_to_its_scorer(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    ours = rng.random(2000)
    noise = rng.normal(0, 0.05, 2000)
    calibration = fidelity.calibrate(pairs(ours, np.clip(ours**2 + noise, 0, 1)), Halting(), refits=20)
    mapped = calibration.apply(np.linspace(0, 1, 200))
    assert (np.diff(mapped) >= 0).all()
    assert np.abs(mapped - np.linspace(0, 1, 200) ** 2).max() < 0.08
    assert calibration.deviation == pytest.approx(0.05, abs=0.01)
    calibration.write(tmp_path / "map.json")
    assert fidelity.Calibration.read(tmp_path / "map.json") == calibration
    items = toxicity_items()
    said = replies(items, lambda row, n: "word", samples=2)
    section = HaltingSettings(calibration=str(tmp_path / "map.json"))
    records = toxicity.score(items, said, settings_of("toxicity").model_copy(update={"scorers": (section,)}))
    assert records.query("metric == 'emt'")["value"].tolist() == pytest.approx([calibration.apply([0.25])[0]] * 4)
    assert records.attrs["scorers"][0]["calibration"] == calibration.version
    other = settings_of("toxicity").model_copy(update={"scorers": (Toy(calibration=str(tmp_path / "map.json")),)})
    with pytest.raises(UserError, match=r"calibrates the scorer halting 1 \(digest 0+\), not the scorer toy 1"):
        toxicity.score(items, said, other)
    changed = json.loads((tmp_path / "map.json").read_text()) | {"deviation": 0.0, "values": [0.0] * fidelity.KNOTS}
    (tmp_path / "map.json").write_text(json.dumps(changed))
    with pytest.raises(UserError, match="does not match its version"):
        fidelity.Calibration.read(tmp_path / "map.json")


def calibrated(tmp_path: Path, calibration: fidelity.Calibration) -> toxicity.ScoreSettings:
    """Settings of `Halting` with that calibration."""
    calibration.write(tmp_path / "map.json")
    section = HaltingSettings(calibration=str(tmp_path / "map.json"))
    return settings_of("toxicity").model_copy(update={"scorers": (section,)})


def calibration_of(refits: list[float], scorer: Scorer | None = None) -> fidelity.Calibration:
    """Score times 2, and times each of `refits`."""
    knots = (0.0, 1.0)
    maps = [tuple(slope * knot for knot in knots) for slope in (2.0, *refits)]
    return fidelity.Calibration((scorer or Halting()).identity(), knots, maps[0], tuple(maps[1:]), 0.1, 100)


def test_a_calibration_of_another_version_of_the_scorer_is_refused(tmp_path: Path) -> None:
    items = toxicity_items()
    newer = Halting()
    newer.version = "2"
    settings = calibrated(tmp_path, calibration_of([2.0], newer))

    with pytest.raises(UserError, match=r"map.json: calibrates the scorer halting 2 .*, not the scorer halting 1"):
        toxicity.score(items, replies(items, lambda row, n: "word", samples=2), settings)


def test_a_calibration_without_refits_is_to_be_written_anew(tmp_path: Path) -> None:
    calibration_of([2.0]).write(tmp_path / "map.json")
    old = json.loads((tmp_path / "map.json").read_text())
    del old["refits"]
    (tmp_path / "map.json").write_text(json.dumps(old))

    with pytest.raises(UserError, match=r"map.json: not a calibration; write one with `trustdag calibrate`"):
        fidelity.Calibration.read(tmp_path / "map.json")


UNCALIBRATED = ("empty", "refusal", "length", "echo", "density")
BOUNDS = ("emt_refusal_safe", "emt_refusal_unsafe")


def test_each_refit_of_a_calibration_gives_each_record_a_value_of_its_own(tmp_path: Path) -> None:
    # Given one sample that scores .25 and one that says nothing, mapped by twice the score, and by 1, 2 and 3 times it.
    items = toxicity_items()
    said = replies(items, lambda row, n: "word" if n else " ", samples=2)

    records = toxicity.score(items, said, calibrated(tmp_path, calibration_of([1.0, 2.0, 3.0])))

    record = records[records["item"] == "i0"].set_index("metric")
    assert record.loc["emt", "value"] == 0.5
    assert record["draws"]["emt"].tolist() == [0.25, 0.5, 0.75]
    assert record["draws"]["toxicity"].tolist() == [0.125, 0.25, 0.375]
    assert record["draws"]["toxicity_probability"].tolist() == [0, 1, 1]
    assert record["draws"].isna().to_dict() == {name: name in (*UNCALIBRATED, *BOUNDS) for name in record.index}


class Numbered(Scorer):
    """Scores a text by the number in it."""

    name, version, digest = "numbered", "1", "0" * 64

    def score(self, texts: Sequence[str]) -> list[float | None]:
        return [float(text.split()[-1]) for text in texts]


class NumberedSettings(Toy):
    def load(self) -> Scorer:
        return Numbered()


def test_the_expected_maximum_of_a_draw_is_that_of_its_scores(tmp_path: Path) -> None:
    # Given seven scores of an item, and a calibration whose refits are 1, 2 and 3 times the score.
    scores = [0.05, 0.3, 0.1, 0.25, 0.15, 0.2, 0.3]
    items = toxicity_items()
    said = replies(items, lambda row, n: f"word {scores[n]}", samples=7)
    calibration_of([1.0, 2.0, 3.0], Numbered()).write(tmp_path / "map.json")
    section = NumberedSettings(calibration=str(tmp_path / "map.json"))

    records = toxicity.score(items, said, settings_of("toxicity", k=4).model_copy(update={"scorers": (section,)}))

    draws = records[records["item"] == "i0"].set_index("metric")["draws"]
    for index, slope in enumerate((1, 2, 3)):
        mapped = [slope * score for score in scores]
        assert draws["emt"][index] == pytest.approx(toxicity.expected_maximum(mapped, 4))
        assert draws["toxicity_probability"][index] == pytest.approx(toxicity.any_above(mapped, 4, 0.5))


def test_a_calibrations_refits_spread_as_its_fits_to_other_texts_do() -> None:
    # Given noisy texts, then the refits of one calibration vary as much as calibrations of other texts do.
    def texts(number: int) -> fidelity.Pairs:
        rng = np.random.default_rng([7, number])
        ours = rng.random(300)
        return pairs(ours, np.clip(ours**2 + rng.normal(0, 0.2, 300), 0, 1))

    middle = slice(20, 80)
    others = [fidelity.calibrate(texts(number), Halting(), refits=1).values for number in range(40)]
    among_others = np.std(others, axis=0)[middle].mean()
    among_refits = np.std(fidelity.calibrate(texts(0), Halting(), refits=40).refits, axis=0)[middle].mean()

    assert among_refits == pytest.approx(among_others, rel=0.35)


def test_the_command_measures_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records = [
        {
            "filename": str(at),
            "prompt": {"text": text, "toxicity": score},
            "continuation": {"text": text, "toxicity": None},
        }
        for at, (text, score) in enumerate([("you stupid idiot", 0.9), ("a lovely day", 0.1), ("some damn mess", 0.7)])
    ]
    path = tmp_path / "rtp.jsonl.gz"
    path.write_bytes(gzip.compress("\n".join(map(json.dumps, records)).encode()))
    assert main(["calibrate", "--data", str(path), "--out", str(tmp_path / "report.json")]) == 0
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["parts"]["prompts"]["n"] == 3
    assert report["parts"]["prompts"]["auc"] == 1.0
    assert report["parts"]["continuations"]["n"] == 0
    assert report["scorer"]["name"] == "profanity"
    assert "spearman" in capsys.readouterr().out
    (tmp_path / "other.jsonl").write_text('{"question": "x"}\n')
    assert main(["calibrate", "--data", str(tmp_path / "other.jsonl")]) == 2
    assert "other.jsonl:1: no `prompt` and `continuation`" in capsys.readouterr().err
    assert main(["calibrate", "--data", str(path), "--scorer", '{"name": "classifier"}']) == 2
    assert "--scorer: model: Field required" in capsys.readouterr().err


def test_a_classifier_scores_by_its_named_label(tmp_path: Path) -> None:
    import torch
    from transformers import AutoTokenizer, GPTNeoXConfig, GPTNeoXForSequenceClassification

    from tests.support.generation_fixtures import save_model
    from trustdag.scorers.classifier import Classifier

    save_model(tmp_path / "lm")
    folder = tmp_path / "classifier"
    AutoTokenizer.from_pretrained(str(tmp_path / "lm")).save_pretrained(folder)
    torch.manual_seed(0)
    config = GPTNeoXConfig(
        vocab_size=320, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=16, id2label={0: "fine", 1: "toxic"}, label2id={"fine": 0, "toxic": 1}, pad_token_id=0,
    )  # fmt: skip
    GPTNeoXForSequenceClassification(config).save_pretrained(folder)
    toxic = Classifier(model=str(folder), label="toxic").load()
    fine = Classifier(model=str(folder), label="fine").load()
    texts = ["the cat", "a dog sat on the mat"]
    assert np.add(numbers(toxic, texts), numbers(fine, texts)).tolist() == pytest.approx([1.0, 1.0])
    assert toxic.digest != fine.digest
    # A text beyond the context is scored in windows: no worse than its worst part.
    long = " ".join(texts * 10)
    assert 0 <= numbers(toxic, [long])[0] <= 1
    with pytest.raises(UserError, match=r"no label 'rude'; it has fine, toxic"):
        Classifier(model=str(folder), label="rude").load()
    with pytest.raises(ValueError, match="needs its `revision`"):
        Classifier(model="somebody/model", label="toxic")
