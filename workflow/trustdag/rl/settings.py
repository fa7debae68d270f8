"""The settings of PPO."""

from typing import Literal, Self

from pydantic import Field, model_validator

from trustdag.settings import MOST, Count, NotNegative, Positive
from trustdag.train.settings import TrainSettings


class PPOSettings(TrainSettings):
    """Proximal policy optimization (Schulman et al. 2017) of a language model (Ziegler et al. 2019).

    One update samples `batch_size` replies, scores them, and makes `epochs` passes over them with `minibatches`
    optimizer steps each. Schedule, checkpoints and logs count updates; other methods count optimizer steps.
    """

    updates: Count = 200
    """Rounds of sampling, scoring and learning."""
    batch_size: int = Field(64, ge=1, le=1_000_000)
    """Replies sampled in one update, over all processes."""
    epochs: Count = 4
    """Passes over the replies of one update."""
    minibatches: Count = 4
    """Optimizer steps in one pass; divides `batch_size`."""
    rollout_batch_size: Count | None = None
    """Replies decoded at a time by one process. None: the whole share of the process."""
    checkpoint_every: Count = 20
    """Updates between two checkpoints; a restarted stage continues from the last one."""
    log_every: Count = 1
    """Updates between two lines of metrics.jsonl."""
    samples_every: Count = 20
    """Updates between two sets of sample replies in samples.jsonl."""
    sample_count: int = Field(4, ge=0, le=MOST)
    """Replies in one set."""

    max_new_tokens: Count = 64
    """Longest reply, in tokens."""
    temperature: Positive = 1.0
    """Divides the logits for every probability: in sampling, the ratio, the KL and the entropy."""
    missing_end_penalty: NotNegative = 1.0
    """Subtracted from the reward of a reply that has no end-of-text token."""

    reward_scaling: Literal["none", "running"] = "none"
    """`running` divides rewards by the standard deviation of all rewards so far."""
    reward_clip: Positive | None = 10.0
    """Rewards are clipped to plus and minus this, after scaling. None: never."""

    kl_estimator: Literal["k1", "k3"] = "k1"
    """Per-token estimate of the KL to the reference (Schulman 2020): k1 is the log-ratio, k3 is never negative."""
    kl_coef: NotNegative = 0.05
    """Weight of the KL penalty; the first weight where `kl_target` is set."""
    kl_target: Positive | None = None
    """KL per reply that the adaptive controller steers to (Ziegler et al. 2019, section 2.2). None: fixed `kl_coef`."""
    kl_horizon: Count = 10_000
    """Replies over which the adaptive controller reacts."""
    kl_limit: Positive | None = 200.0
    """KL per reply above which training stops with an error. None: never."""
    collapse_patience: Count | None = 5
    """Updates in a row with one reply to every prompt after which training stops with an error. None: never."""

    gamma: float = Field(1.0, gt=0, le=1)
    """Discount per token."""
    gae_lambda: float = Field(0.95, ge=0, le=1)
    """Lambda of generalized advantage estimation."""
    whiten_advantages: bool = True
    """Normalize the advantages of one update to mean 0 and variance 1."""
    policy_clip: Positive = 0.2
    """The probability ratio is clipped to 1 plus and minus this."""
    value_clip: Positive | None = 0.2
    """Values are clipped to those of the rollout plus and minus this. None: never."""
    value_coef: NotNegative = 0.1
    """Weight of the value loss."""
    entropy_coef: NotNegative = 0.0
    """Weight of the entropy bonus."""

    adam_epsilon: Positive = 1e-5
    """AdamW's epsilon. 1e-5 is usual in PPO (Huang et al. 2022, detail 3). With 1e-8 a weight without gradient, such as
    the bias of attention's keys, makes full steps along its rounding errors."""

    value: Literal["head", "policy_copy", "reward_copy"] = "head"
    """Value model: a linear head on the policy's trunk, or a model of its own that starts as a copy of the policy or of
    the reward model."""
    top_layers: Count | None = None
    """Train only this many last layers and what follows them; embeddings and lower layers are frozen. None: all."""
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    """Shape of the learning rate after the warm-up."""

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if self.max_new_tokens >= self.max_length:
            raise ValueError(
                f"max_new_tokens: {self.max_new_tokens} leaves no room for a prompt in max_length: {self.max_length};"
                " lower it"
            )
        if self.batch_size % self.minibatches:
            raise ValueError(f"batch_size: {self.batch_size} replies do not divide into {self.minibatches} minibatches")
        if self.lora is not None and self.lora.dropout > 0:
            raise ValueError(
                f"lora.dropout: {self.lora.dropout} would make pi / pi_old compare two different networks; set it to 0"
            )
        if self.lora is not None and self.top_layers is not None:
            raise ValueError("top_layers and lora: both choose the weights that train; leave one of them empty")
        return self
