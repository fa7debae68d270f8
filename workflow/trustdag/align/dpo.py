"""Direct preference optimization (Rafailov et al. 2023, arXiv 2305.18290).

The loss is -log sigmoid(beta [log pi(chosen)/ref(chosen) - log pi(rejected)/ref(rejected)]) (equation 7). The reference
is the policy that the stage starts from; its log-probabilities are computed once, before the first step, so that only
one model is in memory while training. Trainer: TRL's DPOTrainer.
"""

from typing import Any, Literal

from pydantic import Field

from trustdag.train.pairs import Replies, counts, splits
from trustdag.train.session import Session, session
from trustdag.train.settings import SupervisedSettings
from trustdag.train.stage import Stage

REQUIRES = ("policy",)
PRODUCES = "policy"


class Settings(SupervisedSettings):
    """Direct preference optimization."""

    beta: float = Field(0.1, gt=0)
    """Strength of the pull to the reference: larger stays closer."""
    loss: Literal["sigmoid", "ipo", "hinge", "robust"] = "sigmoid"
    """DPO's own loss; IPO (arXiv 2310.12036), hinge (SLiC, arXiv 2305.10425), robust DPO (arXiv 2403.00409)."""
    label_smoothing: float = Field(0.0, ge=0, lt=0.5)
    """Share of the labels that `robust` takes to be wrong."""


def train(stage: Stage, settings: Settings) -> None:
    """Trains the stage and writes its model, manifest and metrics; resumes where a killed run left its checkpoint."""
    with session(stage, settings) as running:
        _train(running, settings)


def _train(running: Session, settings: Settings) -> None:
    from trl import DPOConfig

    from trustdag.models.load import check_length, load_policy, load_tokenizer
    from trustdag.train.reference_trainer import ReferenceTrainer
    from trustdag.train.trainer import arguments, fit, lora_config

    stage = running.stage
    tokenizer = load_tokenizer(stage.policy)
    model = load_policy(stage.policy)
    check_length(stage.policy, model.config, settings.max_length)
    pairs = splits(stage, settings, ("chosen", "rejected"), tokenizer)
    trainer = ReferenceTrainer(
        model=model,
        args=DPOConfig(
            **arguments(running, settings),
            beta=settings.beta,
            loss_type=[settings.loss],
            label_smoothing=settings.label_smoothing,
            precompute_ref_log_probs=True,
        ),
        train_dataset=_examples(pairs["train"]),
        eval_dataset=_examples(pairs["validation"]),
        processing_class=tokenizer,
        peft_config=lora_config(settings.lora, "CAUSAL_LM"),
    )
    fit(running, trainer, tokenizer, counts(pairs))


def _examples(pairs: Replies) -> Any:
    """Prompts and both replies as token ids."""
    from datasets import Dataset

    columns = {f"{column}_ids": ids for column, ids in pairs.replies.items()}
    return Dataset.from_dict({"prompt_ids": pairs.prompts, **columns})
