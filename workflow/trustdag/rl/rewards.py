"""Rewards: a sequence classifier with one label, or any function of prompts and completions."""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from trustdag.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

RewardFunction = Callable[[Sequence[Any], Sequence[str]], Sequence[float]]
"""Maps prompts (as passed to the trainer) and completions (text without the end-of-text token) to one number each."""


@torch.no_grad()
def score_with_model(
    model: "PreTrainedModel",
    prompts: Sequence[Sequence[int]],
    replies: Sequence[Sequence[int]],
    ends: Sequence[int],
    size: int,
) -> Tensor:
    """The reward model's score of each prompt and reply, which end with the first of `ends` as in its training.

    A reply that was cut gets the end token too, because the reward model was trained on complete replies only. The
    penalty of a reply that was cut is `missing_end_penalty`. Rows are scored in order of length.

    Args:
        model: A sequence classifier with one label.
        prompts: The ids of R prompts.
        replies: The ids of their replies.
        ends: The tokens that end a reply; the first closes each text.
        size: Rows in one forward pass.

    Returns:
        (R,), float32.
    """
    texts = [
        [*prompt, *(reply[:-1] if reply and reply[-1] in ends else reply), ends[0]]
        for prompt, reply in zip(prompts, replies, strict=True)
    ]
    order = sorted(range(len(texts)), key=lambda row: len(texts[row]))
    scores = torch.zeros(len(texts), device=model.device)
    for start in range(0, len(order), size):
        rows = order[start : start + size]
        tokens, attention_mask = pad_right([texts[row] for row in rows], model.config.pad_token_id, model.device)
        scores[rows] = model(input_ids=tokens, attention_mask=attention_mask).logits[:, 0].float()
    return scores


def score_with_function(function: RewardFunction, prompts: Sequence[Any], completions: Sequence[str]) -> Tensor:
    """The function's rewards.

    Args:
        function: The reward function.
        prompts: R prompts, as passed to the trainer.
        completions: The text of their replies.

    Returns:
        (R,), float32.

    Raises:
        UserError: It does not return one finite number for each completion.
    """
    rewards = [float(reward) for reward in function(prompts, completions)]
    if len(rewards) != len(completions):
        raise UserError(
            f"reward function: {len(rewards)} rewards for {len(completions)} completions; return one for each"
        )
    for prompt, completion, reward in zip(prompts, completions, rewards, strict=True):
        if not math.isfinite(reward):
            raise UserError(
                f"reward function: {reward} for completion {completion!r} of prompt {prompt!r}; return a number"
            )
    return torch.tensor(rewards, dtype=torch.float32)


def pad_right(rows: Sequence[Sequence[int]], pad_token: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Rows of ids as one tensor.

    Args:
        rows: The ids of b rows.
        pad_token: Fills shorter rows, on the right.
        device: Device of the tensors.

    Returns:
        Ids (b, w), and a mask (b, w) that is false for padding.
    """
    width = max(len(row) for row in rows)
    tokens = torch.tensor([[*row, *[pad_token] * (width - len(row))] for row in rows], device=device)
    lengths = torch.tensor([len(row) for row in rows], device=device)
    return tokens, torch.arange(width, device=device) < lengths[:, None]
