"""Any Hugging Face sequence classifier as a scorer, from a folder or from the hub at a pinned commit."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from pydantic import model_validator

from trustdag import hub
from trustdag.artifacts import sha256_file, sha256_text
from trustdag.errors import UserError, first_line
from trustdag.hub import Commit
from trustdag.scorers.base import Scorer, ScorerSection
from trustdag.settings import Count

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

FILES = (".json", ".safetensors", ".txt", ".model")
MULTI_LABEL = {"multi_label_classification": True, "single_label_classification": False}
"""By `problem_type` in config.json: whether a text can have several labels."""


class Classifier(ScorerSection):
    """A Hugging Face sequence classifier: the probability of one of its labels."""

    name: Literal["classifier"] = "classifier"
    """A sequence classifier of transformers, with safetensors weights; code that comes with a model is never run."""
    model: str
    """Folder, or a name of the hub such as `unitary/toxic-bert`."""
    revision: Commit | None = None
    """Commit of a model of the hub, 40 hexadecimal digits; none for a folder."""
    label: str
    """The label whose probability is the score, as the model's configuration names it, such as `toxic`."""
    multi_label: bool | None = None
    """Whether a text can have several labels: sigmoid of the label's logit instead of softmax over labels. None: taken
    from `problem_type` in the model's config.json, or softmax if that is missing."""
    batch_size: Count = 32
    """Texts in one forward pass."""

    @model_validator(mode="after")
    def _pinned(self) -> Self:
        if self.revision is None and not Path(self.model).is_dir():
            raise ValueError(f"{self.model}: no such folder; a model of the hub needs its `revision` (a commit)")
        return self

    def files(self) -> list[str]:
        """The calibration, and the files of a model in a folder. Raises UserError if it is no model folder."""
        from trustdag.models.base import model_files

        model = [] if self.revision else [str(path) for path in model_files(Path(self.model))]
        return [*super().files(), *model]

    def load(self) -> Scorer:
        """The scorer. Raises UserError if the model cannot be loaded, is no classifier, or has no such label."""
        return ClassifierScorer(self)


Settings = Classifier


class ClassifierScorer(Scorer):
    """The probability of one label. A text longer than the model's context is scored in windows; the highest counts."""

    name = "classifier"

    def __init__(self, settings: Classifier) -> None:
        import torch

        from trustdag.models.threads import use_threads

        folder = _folder(settings)
        use_threads()
        self._tokenizer, self._model = load(folder)
        self._column = label_column(settings, folder, self._model.config)
        self._multi_label = multi_label(settings, folder, self._model.config)
        self._limit = usable_length(self._tokenizer, self._model)
        self._batch_size = settings.batch_size
        self._model.to("cuda" if torch.cuda.is_available() else "cpu").eval()
        self.version = f"{settings.model}@{settings.revision or 'folder'}:{settings.label}"
        weights = sorted(path for path in folder.iterdir() if path.suffix in (".safetensors", ".json", ".txt"))
        self.digest = sha256_text([settings.label, *(f"{path.name} {sha256_file(path)}" for path in weights)])

    def score(self, texts: Sequence[str]) -> list[float | None]:
        """The label's probability for each text; None for a probability that is not finite."""
        import math

        ordered = sorted(range(len(texts)), key=lambda number: -len(texts[number]))
        scores: list[float | None] = [None] * len(texts)
        for start in range(0, len(ordered), self._batch_size):
            chosen = ordered[start : start + self._batch_size]
            for number, value in zip(chosen, self._batch([texts[number] for number in chosen]), strict=True):
                scores[number] = value if math.isfinite(value) else None
        return scores

    def _batch(self, texts: list[str]) -> list[float]:
        import torch

        limit = self._limit
        encoded = self._tokenizer(
            texts, truncation=True, max_length=limit, stride=limit // 4, return_overflowing_tokens=True, padding=True,
            return_tensors="pt",
        )  # fmt: skip
        owners = encoded.pop("overflow_to_sample_mapping").tolist()
        with torch.inference_mode():
            logits = self._model(**encoded.to(self._model.device)).logits.float()
        probabilities = logits.sigmoid() if self._multi_label else logits.softmax(-1)
        worst = [0.0] * len(texts)
        for owner, value in zip(owners, probabilities[:, self._column].tolist(), strict=True):
            worst[owner] = max(worst[owner], value) if value == value else value
        return worst


def load(folder: Path) -> "tuple[PreTrainedTokenizerBase, PreTrainedModel]":
    """The tokenizer and the model of a classifier's folder.

    Args:
        folder: config.json, safetensors and the tokenizer.

    Returns:
        The tokenizer and the model in fp32.

    Raises:
        UserError: They cannot be read, or the model is no sequence classifier, or a weight is missing.
    """
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    from trustdag.models.base import architecture, model_files, read_config
    from trustdag.models.weights import load_complete

    model_files(folder)
    name = architecture(read_config(folder))
    if not name.endswith("ForSequenceClassification"):
        raise UserError(
            f"{folder}: holds {name}, not a sequence classifier (...ForSequenceClassification); it has no "
            "probability of a label"
        )
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    except Exception as error:  # whatever the libraries raise on it
        raise UserError(f"{folder}: no tokenizer can be read here ({first_line(error)})") from error
    return tokenizer, load_complete(AutoModelForSequenceClassification, folder, torch.float32)


def label_column(settings: Classifier, folder: Path, config: "PreTrainedConfig") -> int:
    """The index of the label's logit.

    Args:
        settings: The scorer's settings, with the label.
        folder: The model folder.
        config: The model's configuration.

    Returns:
        The column of the logits.

    Raises:
        UserError: The model has no such label, or config.json contradicts itself about labels.
    """
    from trustdag.models.base import read_config

    stored = read_config(folder)
    names = {str(name): int(column) for column, name in (config.id2label or {}).items()}
    columns = {str(name): int(column) for name, column in (stored.get("label2id") or {}).items()}
    different = sorted(name for name in names.keys() | columns.keys() if names.get(name) != columns.get(name))
    if stored.get("id2label") and columns and different:
        raise UserError(
            f"{folder}/config.json: id2label and label2id contradict each other about {different[0]!r}; correct them"
        )
    if settings.label not in (names if stored.get("id2label") else columns or names):
        raise UserError(f"{settings.model}: no label {settings.label!r}; it has {', '.join(sorted(columns or names))}")
    return names[settings.label] if stored.get("id2label") else (columns or names)[settings.label]


def multi_label(settings: Classifier, folder: Path, config: "PreTrainedConfig") -> bool:
    """Whether the label's probability is the sigmoid of its own logit.

    Args:
        settings: The scorer's settings; their `multi_label` takes precedence.
        folder: The model folder.
        config: The model's configuration with its `problem_type`.

    Returns:
        True for sigmoid, False for softmax.

    Raises:
        UserError: Settings and configuration contradict each other, or the model gives no probability.
    """
    if config.problem_type == "regression":
        raise UserError(f"{folder}: its problem_type is regression: it gives no probability of a label")
    known = MULTI_LABEL.get(config.problem_type or "")
    if known is not None and settings.multi_label not in (None, known):
        raise UserError(
            f"multi_label: {settings.multi_label} contradicts problem_type: {config.problem_type} in "
            f"{folder}/config.json; remove multi_label"
        )
    chosen = settings.multi_label if known is None else known
    if config.num_labels == 1:
        if chosen is False:
            raise UserError(f"{folder}: has one logit, whose softmax is always 1; set multi_label: true")
        return True
    return bool(chosen)


def usable_length(tokenizer: "PreTrainedTokenizerBase", model: "PreTrainedModel") -> int:
    """The longest text in tokens, special tokens included. RoBERTa's positions start after its padding token's id."""
    positions = getattr(model.config, "max_position_embeddings", None) or 1 << 30
    for name, module in model.named_modules():
        if name.endswith("embeddings.position_embeddings"):
            unused = 0 if module.padding_idx is None else module.padding_idx + 1
            positions = min(positions, module.num_embeddings - unused)
    return min(tokenizer.model_max_length, positions)


def _folder(settings: Classifier) -> Path:
    if settings.revision is None:
        return Path(settings.model)
    return hub.model_folder(settings.model, settings.revision, FILES, "give the folder of a local copy as `model`")
