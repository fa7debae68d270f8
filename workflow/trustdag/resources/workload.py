"""The computations of a study's jobs, and the number and length of the texts that they read."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from trustdag.align import methods
from trustdag.data.derived import Subset
from trustdag.jsonfiles import read_json
from trustdag.layout import ModelId, Results
from trustdag.resources import estimate
from trustdag.resources.size import parameters_of
from trustdag.train import pretrain

if TYPE_CHECKING:
    from trustdag.config.study import Study
    from trustdag.models.base import Scratch

PROMPT_TOKENS = 200
"""Tokens of a long prompt that is to be answered: for time limits."""
TYPICAL_PROMPT_TOKENS = 50
"""The same on average: 37 to 94 in the verticals of config/smollm2.yaml."""
TOY_PROMPT_TOKENS = 25
"""The same in the toy world."""
CHARACTERS = 3.5
"""Characters of a token."""
TYPICAL = 0.4
"""Default length of a text relative to the longest allowed one: HH-RLHF's mean at 512 tokens."""


# --- Which model ---


def model_of(wildcards: Mapping[str, str]) -> str | None:
    """The model of a job, or None."""
    if "policy" in wildcards:
        return ModelId.parse(wildcards["policy"]).model
    return wildcards.get("model")


def source_of(study: "Study", model: str, given: str) -> Any:
    """The source of a model's weights.

    Args:
        study: The study.
        model: The model's name.
        given: `base`, or the chain of a checkpoint.
    """
    entry = study.models[model]
    return entry.base if given == "base" else entry.checkpoints[given]


# --- What is computed ---


def base_training(source: "Scratch", parameters: float) -> estimate.Training:
    """The training of a base model from scratch."""
    return estimate.Training(
        parameters=parameters,
        cost=pretrain.cost(source),
        precision="fp32",
        length=source.context,
        checkpointing=False,
        trained_share=1.0,
    )


def stage_training(study: "Study", model: str, stage: str, on_gpu: bool, pairs: int) -> estimate.Training:
    """The training of a stage, with texts as long as it allows.

    Args:
        study: The study.
        model: The base model's name.
        stage: The stage's name.
        on_gpu: Whether it gets a GPU.
        pairs: Pairs that it trains on.
    """
    settings, parameters = study.stage_settings(model, stage), parameters_of(study, model)
    return estimate.Training(
        parameters=parameters,
        cost=methods()[settings.method].cost(settings, pairs),
        precision=_precision(settings.precision, on_gpu),
        length=settings.max_length,
        checkpointing=bool(settings.gradient_checkpointing),
        trained_share=estimate.lora_share(parameters, settings.lora.rank) if settings.lora else 1.0,
    )


def expected_attribution_flops(study: "Study", policy: ModelId, parameters: float) -> float:
    """FLOPs that the attribution of a policy is expected to take: passes over its pairs and over its verticals' items.

    Args:
        study: The study.
        policy: The attributed policy, which a stage of the study trained.
        parameters: Of the model.
    """
    stage = study.stage_settings(policy.model, policy.chain[-1])
    pair = 2 * text_tokens(study, policy.preferences or "", stage)
    tokens = 0.0
    for vertical, settings in study.attributed().items():
        if stage.method in settings.stages:
            items, options, prompt = asked_of(study, vertical)
            tokens += settings.passes * pairs_of(study, policy.preferences or "") * pair + (items + options) * prompt
    return 6 * parameters * tokens


def _precision(wanted: Literal["auto", "fp32", "bf16"], on_gpu: bool) -> estimate.Precision:
    return wanted if wanted != "auto" else "bf16" if on_gpu else "fp32"


def attribution_flops(study: "Study", parameters: float, pairs: float, length: float) -> float:
    """FLOPs of an attribution at most, for a time limit: five passes over the pairs, forward and backward.

    Args:
        study: The study.
        parameters: Of the model.
        pairs: Of two replies each.
        length: Tokens of a reply with its prompt.
    """
    return 5 * len(study.attributed()) * 6 * parameters * pairs * 2 * length


# --- How much is read ---


def pairs_of(study: "Study", preferences: str) -> int:
    """Number of training pairs of a preference set: that of the prepared set, else from its settings."""
    card = _card(Results.of(study.name).data(preferences, "card.json"))
    if card is not None:
        return int(card["splits"]["train"]["pairs"])
    settings = study.preferences[preferences]
    if settings in study.derived().values():
        share = settings.share if isinstance(settings, Subset) else 1.0
        return round(share * pairs_of(study, settings.of))
    drawn = getattr(settings, "pairs", None) or settings.limit or study.resources.pairs
    return round(drawn * (1 - settings.validation - settings.test))


def text_tokens(study: "Study", preferences: str, stage: Any) -> float:
    """Tokens of one text that a stage reads, on average: a prompt with its reply.

    Args:
        study: The study.
        preferences: The preference set.
        stage: The stage's settings.
    """
    card = _card(Results.of(study.name).data(preferences, "card.json"))
    if card is None:
        return float(TYPICAL * stage.max_length)
    lengths = card["splits"]["train"]["characters"]
    prompt, reply = (lengths[part]["mean"] / CHARACTERS for part in ("prompt", "chosen"))
    return float(min(stage.max_length, prompt + getattr(stage, "max_new_tokens", reply)))


def asked_of(study: "Study", vertical: str) -> tuple[float, float, float]:
    """The workload of a vertical: from its items, if they exist, else from its settings.

    Returns:
        Items with sampled replies, options of which the likelihood is asked, and tokens of a prompt.
    """
    card = _card(Results.of(study.name).items_card(vertical))
    if card is not None:
        return card["generate"], card["options"], card["characters"]["mean"] / CHARACTERS
    settings = study.verticals_measured()[vertical]
    items = settings.items
    # A plugin's items may have no choice of sources.
    if getattr(items, "source", None) == "toy":
        count = getattr(items, "n", None) or study.resources.replies
        return count, 2 * count, TOY_PROMPT_TOKENS
    records = getattr(items, "records", None) or getattr(items, "limit", None)
    if records is None:
        return study.resources.replies, 2 * study.resources.replies, TYPICAL_PROMPT_TOKENS
    replies, options = settings.ASKED
    return records * replies, records * options, TYPICAL_PROMPT_TOKENS


def _card(path: str) -> Any:
    return read_json(Path(path)) if Path(path).is_file() else None
