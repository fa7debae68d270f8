"""Validates settings, models, tokenizer and prompts before the first rollout."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from trustdag.errors import UserError
from trustdag.models.load import context_length
from trustdag.models.logprobs import OutputLayer
from trustdag.rl.settings import PPOSettings
from trustdag.train.lora import base_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def check_division(settings: PPOSettings, processes: int) -> None:
    """Raises UserError unless every minibatch has the same number of replies on every process."""
    parts = settings.minibatches * processes
    if settings.batch_size % parts:
        near = max(parts, round(settings.batch_size / parts) * parts)
        raise UserError(
            f"batch_size: {settings.batch_size} replies do not divide into {settings.minibatches} minibatches on "
            f"{processes} processes; take a multiple of {parts}, such as {near}"
        )


def check_policy(policy: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase") -> None:
    """Raises UserError for a policy that cannot end a reply, or whose logits are not its output embedding's."""
    size = policy.get_output_embeddings().weight.shape[0]
    if tokenizer.eos_token_id is None:
        raise UserError(
            "policy: its tokenizer has no end-of-text token, so no reply could end; set tokenizer.eos_token"
        )
    if max(tokenizer.eos_token_id, len(tokenizer) - 1) >= size:
        raise UserError(
            f"policy: its tokenizer has {len(tokenizer)} tokens (end-of-text is {tokenizer.eos_token_id}), its output "
            f"layer {size}; use the policy's own tokenizer or resize the embeddings"
        )
    base = base_of(policy)
    if not OutputLayer.of(base.config).fits(base):
        raise UserError(
            f"policy: {type(base).__name__} changes its logits after the output layer in a way that is not known here "
            "(known: logit_scale, logits_scaling, final_logit_softcapping in its config.json); take another policy"
        )


def check_prompts(
    prompts: Sequence[Sequence[int]], models: "Sequence[PreTrainedModel | None]", settings: PPOSettings
) -> None:
    """Checks that every prompt leaves room for a reply, and for the token that closes it for the reward model.

    Args:
        prompts: Their ids.
        models: The models that read prompts and replies: the policy, and the reward model unless it is a function.
        settings: PPO's settings, with the length of a reply.

    Raises:
        UserError: There are no prompts, an empty one, or one that is too long for a model's context.
    """
    if not prompts:
        raise UserError("prompts: there are none to train on")
    empty = [index for index, prompt in enumerate(prompts) if not prompt]
    if empty:
        raise UserError(
            f"prompts: {len(empty)} of {len(prompts)} have no tokens, the first is number {empty[0]}; drop them"
        )
    context = min(context_length(model.config) for model in models if model is not None)
    too_long = [len(prompt) for prompt in prompts if len(prompt) + settings.max_new_tokens + 1 > context]
    if too_long:
        raise UserError(
            f"prompts: {len(too_long)} of {len(prompts)} do not fit a context of {context} tokens with "
            f"{settings.max_new_tokens} new ones and their end (the longest has {max(too_long)}); drop them or "
            "lower max_new_tokens"
        )


def check_reward_model(
    model: "PreTrainedModel",
    own_tokenizer: "PreTrainedTokenizerBase | None",
    policy: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
) -> None:
    """Checks that the reward model returns one score and reads the policy's tokens.

    Args:
        model: The reward model.
        own_tokenizer: The reward model's tokenizer. None: only the vocabulary sizes are compared, which must be equal.
        policy: The policy.
        tokenizer: The policy's tokenizer.

    Raises:
        UserError: It has several labels, another vocabulary or no padding token.
    """
    name = f"reward model {model.config.name_or_path or type(model).__name__}"
    if model.config.num_labels != 1:
        raise UserError(
            f"{name}: has {model.config.num_labels} labels, a reward is one number; train it with num_labels=1"
        )
    size = model.get_input_embeddings().weight.shape[0]
    if size < len(tokenizer):
        raise UserError(
            f"{name}: reads {size} tokens, the policy's vocabulary has {len(tokenizer)}; train it from the same base "
            "model, or pass a function of texts that tokenizes for itself"
        )
    expected = policy.get_input_embeddings().weight.shape[0]
    if own_tokenizer is None and size != expected:
        raise UserError(
            f"{name}: reads {size} tokens, the policy {expected}; pass its tokenizer as reward_tokenizer, to show that "
            "they have one vocabulary, or a function of texts that tokenizes for itself"
        )
    if own_tokenizer is not None:
        ours, theirs = tokenizer.get_vocab(), own_tokenizer.get_vocab()
        different = sum(1 for token, index in ours.items() if theirs.get(token) != index)
        if different:
            raise UserError(
                f"{name}: has another vocabulary: {different} of the policy's {len(ours)} tokens have another id there "
                "or none; train it from the same base model, or pass a function of texts"
            )
    if model.config.pad_token_id is None:
        raise UserError(f"{name}: config.pad_token_id is not set, so it cannot find where a text ends; set it")


def check_precision(model: torch.nn.Module) -> None:
    """Raises UserError for weights that train and are not fp32: small steps would be lost by rounding."""
    for parameter in model.parameters():
        if parameter.requires_grad and parameter.dtype != torch.float32:
            raise UserError(
                f"policy: weights that train are {parameter.dtype}, where small steps are lost; load the models with "
                "dtype=torch.float32 (with precision bf16 they still compute in bf16)"
            )
