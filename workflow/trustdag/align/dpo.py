"""Direct preference optimization (Rafailov et al. 2023, arXiv 2305.18290).

The loss is -log sigmoid(beta [log pi(chosen)/ref(chosen) - log pi(rejected)/ref(rejected)]) (equation 7). The reference
is the policy that the stage starts from; its log-probabilities are computed once, before the first step, so that only
one model is in memory while training. Trainer: TRL's DPOTrainer.
"""

from typing import Any, Literal

from pydantic import Field

from trustdag.settings import Positive
from trustdag.train.cost import MethodCost, supervised_cost
from trustdag.train.pairs import EncodedReplies
from trustdag.train.settings import SupervisedSettings
from trustdag.train.stage import Stage
from trustdag.train.supervised import TrainerInputs, supervised

REQUIRES = ("policy",)
PRODUCES = "policy"


class Settings(SupervisedSettings):
    """Direct preference optimization."""

    beta: Positive = 0.1
    """Strength of the constraint to the reference; with a larger beta the policy stays closer."""
    loss: Literal["sigmoid", "ipo", "hinge", "robust"] = "sigmoid"
    """DPO's own loss; IPO (arXiv 2310.12036), hinge (SLiC, arXiv 2305.10425), robust DPO (arXiv 2403.00409)."""
    label_smoothing: float = Field(0.0, ge=0, lt=0.5)
    """Share of wrong labels that `robust` assumes."""


def cost(settings: Settings, pairs: int) -> MethodCost:
    """One model is trained on both replies; the reference reads them once."""
    return supervised_cost(settings, pairs, frozen=1, sequences=2, flops=6 + 2)


def train(stage: Stage, settings: Settings) -> None:
    """Trains the stage and writes its model, manifest and metrics; resumes where a killed run left its checkpoint."""
    supervised(stage, settings, ("chosen", "rejected"), build_trainer)


def build_trainer(inputs: TrainerInputs, settings: Settings) -> Any:
    """TRL's trainer; the reference's log-probabilities are stored with the checkpoints."""
    from trl import DPOConfig

    from trustdag.models.load import load_policy
    from trustdag.train.lora import lora_config
    from trustdag.train.trl_adapter import DPOStageTrainer

    return DPOStageTrainer(
        model=load_policy(inputs.stage.policy),
        args=DPOConfig(
            **inputs.arguments,
            beta=settings.beta,
            loss_type=[settings.loss],
            label_smoothing=settings.label_smoothing,
            precompute_ref_log_probs=True,
            router_aux_loss_coef=0.0,  # as in SFT
        ),
        reference_folder=inputs.session.folder,
        peft_config=lora_config(settings.lora, "CAUSAL_LM") if settings.lora else None,
        **inputs.data(examples),
    )


def examples(pairs: EncodedReplies) -> dict[str, Any]:
    """Prompts and both replies as token ids."""
    columns = {f"{column}_ids": ids for column, ids in pairs.replies.items()}
    return {"prompt_ids": pairs.prompts, **columns}
