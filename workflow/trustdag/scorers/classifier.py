"""Any Hugging Face sequence classifier as a scorer, from a folder or from the hub at a pinned commit."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from trustdag.artifacts import sha256_file, sha256_text
from trustdag.errors import UserError
from trustdag.scorers.base import Scorer, ScorerSection

HEX40 = r"^[0-9a-f]{40}$"


class Classifier(ScorerSection):
    """A Hugging Face sequence classifier: the probability of one of its labels."""

    name: Literal["classifier"] = "classifier"
    """A sequence classifier of transformers, with safetensors weights; code that comes with a model is never run."""
    model: str
    """Folder, or a name of the hub such as `unitary/toxic-bert`."""
    revision: str | None = Field(None, pattern=HEX40)
    """Commit of a model of the hub, 40 hexadecimal digits; none for a folder."""
    label: str
    """The label whose probability is the score, as the model's configuration names it, such as `toxic`."""
    multi_label: bool = False
    """Whether labels do not exclude each other: sigmoid of the label's logit in place of softmax over labels."""
    batch_size: int = Field(32, ge=1)
    """Texts in one forward pass."""

    @model_validator(mode="after")
    def _pinned(self) -> Self:
        if self.revision is None and not Path(self.model).is_dir():
            raise ValueError(f"{self.model}: no such folder; a model of the hub needs its `revision` (a commit)")
        return self

    def load(self) -> Scorer:
        """The scorer. Raises UserError if the model cannot be had or has no such label."""
        return ClassifierScorer(self)


class ClassifierScorer(Scorer):
    """The probability of one label. A text beyond the model's context is scored in windows; the worst counts."""

    name = "classifier"

    def __init__(self, settings: Classifier) -> None:
        import torch
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        folder = _folder(settings)
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
            self._model = AutoModelForSequenceClassification.from_pretrained(
                str(folder), local_files_only=True, use_safetensors=True, trust_remote_code=False, dtype=torch.float32
            )
        except (OSError, ValueError) as error:
            raise UserError(f"{folder}: no classifier can be read here ({str(error).splitlines()[0][:160]})") from error
        labels = {str(name): int(at) for name, at in self._model.config.label2id.items()}
        if settings.label not in labels:
            raise UserError(f"{settings.model}: no label {settings.label!r}; it has {', '.join(sorted(labels))}")
        self._column, self._settings = labels[settings.label], settings
        self._model.to("cuda" if torch.cuda.is_available() else "cpu").eval()
        self.version = f"{settings.model}@{settings.revision or 'folder'}:{settings.label}"
        weights = sorted(path for path in folder.iterdir() if path.suffix in (".safetensors", ".json", ".txt"))
        self.digest = sha256_text([settings.label, *(f"{path.name} {sha256_file(path)}" for path in weights)])

    def score(self, texts: Sequence[str]) -> list[float | None]:
        """The label's probability for each text; None where it is not a number."""
        import math

        ordered = sorted(range(len(texts)), key=lambda at: -len(texts[at]))
        scores: list[float | None] = [None] * len(texts)
        for start in range(0, len(ordered), self._settings.batch_size):
            chosen = ordered[start : start + self._settings.batch_size]
            for at, value in zip(chosen, self._batch([texts[at] for at in chosen]), strict=True):
                scores[at] = value if math.isfinite(value) else None
        return scores

    def _batch(self, texts: list[str]) -> list[float]:
        import torch

        limit = min(self._tokenizer.model_max_length, getattr(self._model.config, "max_position_embeddings", 1 << 30))
        encoded = self._tokenizer(
            texts, truncation=True, max_length=limit, stride=limit // 4, return_overflowing_tokens=True, padding=True,
            return_tensors="pt",
        )  # fmt: skip
        owners = encoded.pop("overflow_to_sample_mapping").tolist()
        with torch.inference_mode():
            logits = self._model(**encoded.to(self._model.device)).logits.float()
        probabilities = logits.sigmoid() if self._settings.multi_label else logits.softmax(-1)
        worst = [0.0] * len(texts)
        for owner, value in zip(owners, probabilities[:, self._column].tolist(), strict=True):
            worst[owner] = max(worst[owner], value) if value == value else value
        return worst


def _folder(settings: Classifier) -> Path:
    if settings.revision is None:
        return Path(settings.model)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    patterns = ["*.json", "*.safetensors", "*.txt", "*.model"]
    try:
        return Path(snapshot_download(settings.model, revision=settings.revision, allow_patterns=patterns))
    except (LocalEntryNotFoundError, OfflineModeIsEnabled, HfHubHTTPError, OSError) as error:
        raise UserError(
            f"{settings.model} at {settings.revision}: cannot be fetched ({str(error).strip().splitlines()[0][:160]}); "
            "without a network, give the folder of a local copy as `model`"
        ) from error
