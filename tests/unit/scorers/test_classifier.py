"""The classifier scorer: probabilities from real classifiers alone, by what their configuration says."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.tiny_classifiers import write_classifier
from trustdag.errors import UserError
from trustdag.scorers.classifier import Classifier


def scores(folder: Path, label: str = "toxic", **settings: Any) -> list[float | None]:
    return Classifier(model=str(folder), label=label, **settings).load().score(["good word", "bad bad word", "bad"])


def test_labels_that_exclude_each_other_share_one_probability(tmp_path: Path) -> None:
    folder = write_classifier(tmp_path)
    columns = [scores(folder, label) for label in ("fine", "toxic", "rude")]
    for values in zip(*columns, strict=True):
        assert sum(value or 0 for value in values) == pytest.approx(1)


def test_the_problem_type_in_the_configuration_decides(tmp_path: Path) -> None:
    softmax = scores(write_classifier(tmp_path / "one"))
    sigmoid = scores(write_classifier(tmp_path / "several", problem_type="multi_label_classification"))
    assert sigmoid == scores(tmp_path / "one", multi_label=True)
    assert sigmoid != softmax


def test_settings_that_contradict_the_problem_type_are_refused(tmp_path: Path) -> None:
    folder = write_classifier(tmp_path, problem_type="multi_label_classification")
    with pytest.raises(UserError, match="multi_label: False contradicts problem_type: multi_label_classification"):
        scores(folder, multi_label=False)


def test_a_regression_has_no_probability(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="its problem_type is regression"):
        scores(write_classifier(tmp_path, problem_type="regression"))


def test_one_logit_is_a_sigmoid(tmp_path: Path) -> None:
    folder = write_classifier(tmp_path, labels=["toxic"])
    values = scores(folder)
    assert len(set(values)) == 3
    assert values == scores(folder, multi_label=True)
    with pytest.raises(UserError, match="has one logit, whose softmax is always 1"):
        scores(folder, multi_label=False)


def test_a_language_model_is_no_classifier(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds BertForMaskedLM, not a sequence classifier"):
        scores(write_classifier(tmp_path, "language model"), "LABEL_1")


def test_a_classifier_without_its_head_is_refused(tmp_path: Path) -> None:
    folder = write_classifier(tmp_path, "language model", architectures=["BertForSequenceClassification"])
    with pytest.raises(UserError, match=r"weights missing, the first is (bert\.pooler|classifier)"):
        scores(folder, "LABEL_1")


def test_a_configuration_with_id2label_alone_is_read(tmp_path: Path) -> None:
    expected = scores(write_classifier(tmp_path / "both"))
    assert scores(write_classifier(tmp_path / "one", label2id=None)) == expected


def test_labels_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    folder = write_classifier(tmp_path, label2id={"fine": 1, "toxic": 0, "rude": 2})
    with pytest.raises(UserError, match="id2label and label2id contradict each other about 'fine'"):
        scores(folder)


def test_an_unknown_label_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no label 'Toxic'; it has fine, rude, toxic"):
        scores(write_classifier(tmp_path), "Toxic")


@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_a_text_beyond_the_context_is_scored_in_windows(tmp_path: Path, kind: str) -> None:
    scorer = Classifier(model=str(write_classifier(tmp_path, kind)), label="toxic").load()
    (value,) = scorer.score(["bad word " * 40])
    assert value is not None
    assert 0 <= value <= 1


def test_the_files_of_a_local_classifier_are_those_of_its_calibration_and_its_model(tmp_path: Path) -> None:
    folder = write_classifier(tmp_path / "model")
    settings = Classifier(model=str(folder), label="toxic", calibration="map.json")
    assert settings.files()[0] == "map.json"
    assert {str(folder / name) for name in ("config.json", "model.safetensors", "tokenizer.json")} <= set(
        settings.files()
    )
    assert Classifier(model="unitary/toxic-bert", revision="0" * 40, label="toxic").files() == []
