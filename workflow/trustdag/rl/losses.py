"""PPO's losses and advantages as pure functions, independent of any model.

Shapes: B replies, T tokens of the longest one, V vocabulary. `mask` (B, T) is true on a reply's own tokens, its
end-of-text token included. Values outside the mask are never read.
"""

from typing import Literal, NamedTuple

import torch
from torch import Tensor


def scale(logits: Tensor, temperature: float) -> Tensor:
    """logits / temperature in fp32. Returns the input itself if nothing changes."""
    return logits.float() if temperature == 1 else logits.float() / temperature


def log_softmax(logits: Tensor, temperature: float) -> Tensor:
    """The log-probability of every token of the vocabulary, in fp32: log softmax(logits / temperature).

    (N, V) -> (N, V). It is the only tensor of this size that a backward pass keeps.
    """
    return scale(logits, temperature).log_softmax(-1)


def of_tokens(logprobs: Tensor, tokens: Tensor) -> Tensor:
    """The log-probability of the given tokens. (N, V) and (N,) -> (N,)."""
    return logprobs.gather(-1, tokens[:, None])[:, 0]


def entropy_of(logprobs: Tensor) -> Tensor:
    """The entropy of each distribution, in nats: H = -sum_v p_v log p_v. (N, V) -> (N,)."""
    return -(logprobs.exp() * logprobs).sum(-1)


def kl_estimate(logprobs: Tensor, ref_logprobs: Tensor, estimator: Literal["k1", "k3"]) -> Tensor:
    """Per-token estimate of KL(policy || reference) from tokens that the policy sampled. (B, T) -> (B, T).

    With log r = log pi_ref - log pi: k1 = -log r (unbiased, signed), k3 = (r - 1) - log r (unbiased, never negative).
    John Schulman, "Approximating KL divergence" (2020).

    Args:
        logprobs: (B, T), of the policy.
        ref_logprobs: (B, T), of the reference.
        estimator: `k1` or `k3`.
    """
    log_ratio = ref_logprobs - logprobs
    if estimator == "k1":
        return -log_ratio
    return torch.expm1(log_ratio) - log_ratio


def token_rewards(scores: Tensor, kl: Tensor, kl_coef: float, mask: Tensor) -> Tensor:
    """r_t = -beta KL_t, and the reply's score on its last token (Ziegler et al. 2019, equation 2).

    Args:
        scores: (B,)
        kl: (B, T) per-token estimates.
        kl_coef: beta.
        mask: (B, T)

    Returns:
        (B, T), zero outside the mask.
    """
    rewards = torch.where(mask, -kl_coef * kl, 0.0)
    last = mask.sum(1) - 1
    return rewards.scatter_add(1, last[:, None], scores[:, None].to(rewards))


class Advantages(NamedTuple):
    """The result of `gae`, both (B, T) and zero outside the mask."""

    advantages: Tensor
    returns: Tensor


def gae(rewards: Tensor, values: Tensor, mask: Tensor, gamma: float, lam: float) -> Advantages:
    """Generalized advantage estimation (Schulman et al. 2016, equation 16).

    delta_t = r_t + gamma V_(t+1) - V_t,  A_t = delta_t + gamma lambda A_(t+1),  return_t = A_t + V_t,
    where V and A are 0 after a reply's last token: the episode ends there, whether the reply ended or was cut.

    Args:
        rewards: (B, T) r_t.
        values: (B, T) V_t.
        mask: (B, T)
        gamma: Discount per token.
        lam: Lambda.

    Returns:
        Advantages and returns, both (B, T).
    """
    rewards, values = rewards * mask, torch.where(mask, values, 0.0)
    following = torch.cat([values[:, 1:], torch.zeros_like(values[:, :1])], dim=1)
    deltas = rewards + gamma * following - values
    advantage = torch.zeros_like(deltas[:, 0])
    columns = []
    for t in range(deltas.shape[1] - 1, -1, -1):
        advantage = deltas[:, t] + gamma * lam * advantage
        columns.append(advantage)
    advantages = torch.stack(columns[::-1], dim=1) * mask
    return Advantages(advantages, (advantages + values) * mask)


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """The mean of `values` where `mask`; both (B, T) -> scalar."""
    return torch.where(mask, values, 0.0).sum() / mask.sum()


def whiten(values: Tensor, mask: Tensor) -> Tensor:
    """(x - mean) / sqrt(var + 1e-8) over the mask, with the unbiased variance; (B, T) -> (B, T), zero outside the mask.

    A single unmasked value has no variance: it becomes 0.
    """
    mean = masked_mean(values, mask)
    variance = masked_mean((values - mean) ** 2, mask) * mask.sum() / (mask.sum() - 1).clamp(min=1)
    return torch.where(mask, (values - mean) * torch.rsqrt(variance + 1e-8), 0.0)


class ClippedLoss(NamedTuple):
    """The loss of each token, and whether it is the clipped term; both of the input's shape."""

    losses: Tensor
    clipped: Tensor


def policy_loss(logprobs: Tensor, old_logprobs: Tensor, advantages: Tensor, clip: float) -> ClippedLoss:
    """max(-A rho, -A clip(rho, 1 - eps, 1 + eps)) with rho = pi / pi_old (Schulman et al. 2017, equation 7).

    Args:
        logprobs: (N,) of the trained policy.
        old_logprobs: (N,) of the policy that sampled the tokens.
        advantages: (N,)
        clip: eps.

    Returns:
        The losses (N,) and whether each is clipped (N,); the caller takes the mean over its tokens.
    """
    ratio = torch.exp(logprobs - old_logprobs)
    plain = -advantages * ratio
    bounded = -advantages * ratio.clamp(1 - clip, 1 + clip)
    return ClippedLoss(torch.maximum(plain, bounded), bounded > plain)


def value_loss(values: Tensor, old_values: Tensor, returns: Tensor, clip: float | None) -> ClippedLoss:
    """1/2 max((V - R)^2, (clip(V, V_old - eps, V_old + eps) - R)^2), the clipped value loss of OpenAI's baselines.

    Args:
        values: (N,) of the trained value model.
        old_values: (N,) of the rollout.
        returns: (N,) R.
        clip: eps. None: half the squared error.

    Returns:
        The losses (N,) and whether each is clipped (N,).
    """
    plain = (values - returns) ** 2
    if clip is None:
        return ClippedLoss(0.5 * plain, torch.zeros_like(plain, dtype=torch.bool))
    near = torch.minimum(torch.maximum(values, old_values - clip), old_values + clip)
    bounded = (near - returns) ** 2
    return ClippedLoss(0.5 * torch.maximum(plain, bounded), bounded > plain)


def explained_variance(values: Tensor, returns: Tensor, mask: Tensor) -> Tensor:
    """1 - Var(R - V) / Var(R): 1 is perfect, 0 no better than a constant.

    Args:
        values: (B, T) V.
        returns: (B, T) R.
        mask: (B, T)

    Returns:
        A scalar; not finite if R is constant.
    """
    returns, errors = returns[mask], (returns - values)[mask]
    return 1 - errors.var(correction=0) / returns.var(correction=0)
