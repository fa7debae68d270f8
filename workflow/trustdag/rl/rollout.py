"""A rollout: the policy's replies to prompts, evaluated with the reward, the reference and the value model."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from trustdag.errors import UserError
from trustdag.generation.decode import DecodingRules
from trustdag.models.dialogue import Message, PromptFormat, render
from trustdag.models.mapped import MappedWeights
from trustdag.models.tokens import encode_prompts
from trustdag.rl.batch import Batch, rows_of, scatter, splits
from trustdag.rl.distributed import any_process, is_sharded
from trustdag.rl.model import ActorCritic, adapter_off, reference_logprobs
from trustdag.rl.report import UpdateLog
from trustdag.rl.rewards import RewardFunction, pad_right, score_with_function, score_with_model
from trustdag.rl.sampling import SHRINK_AT, SampledReplies, sample_replies
from trustdag.rl.settings import PPOSettings
from trustdag.train.lora import base_of

if TYPE_CHECKING:
    from accelerate import Accelerator
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Prompt = str | Sequence[Message]


@dataclass(frozen=True)
class RolloutModels:
    """The models of a rollout."""

    model: torch.nn.Module
    """The policy with its value model, as accelerate has prepared it."""
    reference: "PreTrainedModel | None"
    """The frozen copy, or None if the reference is the policy with its adapter off."""
    reward: "PreTrainedModel | RewardFunction"
    tokenizer: "PreTrainedTokenizerBase"
    end_tokens: tuple[int, ...]
    """End a reply."""
    mapped: tuple[MappedWeights, ...] = ()
    """Weights of reference and reward model that are in memory only while they are read."""

    def release(self) -> None:
        """Takes the weights of reference and reward model out of memory until they are read again."""
        for weights in self.mapped:
            weights.release()


@dataclass(frozen=True)
class PromptSet:
    """All prompts of a run."""

    originals: list[Prompt]
    """The prompts as passed to the trainer."""
    ids: list[list[int]]


class Rollouts:
    """Samples replies and evaluates them with the reward, reference and value models."""

    def __init__(
        self,
        models: RolloutModels,
        prompts: PromptSet,
        settings: PPOSettings,
        accelerator: "Accelerator",
        log: UpdateLog,
    ) -> None:
        """Prepares rollouts.

        Args:
            models: The models.
            prompts: All prompts.
            settings: The run's settings.
            accelerator: Gives the processes, the device and the precision.
            log: Measures the time of each phase.
        """
        self.models, self.prompts, self.settings = models, prompts, settings
        self.accelerator, self.log = accelerator, log
        self.plain: ActorCritic = accelerator.unwrap_model(models.model)
        self.exact = accelerator.mixed_precision == "no"
        # As many replies in one forward pass as in training, which needs at least as much memory for the logits.
        share = settings.batch_size // settings.minibatches // accelerator.num_processes
        self.rows = settings.device_batch_size or share

    def collect(self, chosen: list[int], uniforms: Tensor) -> Batch:
        """One rollout, over all processes.

        Args:
            chosen: The numbers of B prompts.
            uniforms: (B, max_new_tokens), all the randomness of the replies.

        Returns:
            The replies of all processes, in the order of `chosen`.
        """
        lengths = torch.tensor([len(self.prompts.ids[index]) for index in chosen])
        parts = self.accelerator.num_processes
        shares = [splits(lengths, parts, part, None)[0] for part in range(parts)]
        own = shares[self.accelerator.process_index]
        indices = [chosen[row] for row in own]
        prompts = [self.prompts.ids[index] for index in indices]
        self.plain.eval()
        with self.log.phase("generate"), self.accelerator.autocast():
            replies = self.sample(prompts, uniforms[own])
        with self.log.phase("reward"), self.accelerator.autocast():
            scores = self.score(indices, replies)
        self.models.release()
        with self.log.phase("evaluate"), self.accelerator.autocast():
            batch = self.evaluate(prompts, replies, scores)
        self.models.release()
        return self.gather(batch, torch.cat(shares))

    def sample(self, prompts: list[list[int]], uniforms: Tensor) -> SampledReplies:
        """The policy's replies to this process's prompts, drawn with `uniforms` (R, max_new_tokens)."""
        sharded = is_sharded(self.accelerator)
        rules = DecodingRules(
            self.settings.max_new_tokens,
            self.models.end_tokens,
            self.pad_token,
            SHRINK_AT,
            any_process=partial(any_process, self.accelerator) if sharded else bool,
        )
        step = partial(self.models.model if sharded else self.plain, "step")
        config = base_of(self.plain.policy).config
        uniforms = uniforms.to(self.accelerator.device)
        size, known = self.settings.rollout_batch_size, len(self.models.tokenizer)
        return sample_replies(step, config, prompts, uniforms, rules, batch_size=size, known=known)

    def score(self, indices: list[int], replies: SampledReplies) -> Tensor:
        """The raw reward of each reply, (R,); `indices` are the numbers of their prompts."""
        ids = [row[:length].tolist() for row, length in zip(replies.tokens, replies.lengths, strict=True)]
        reward = self.models.reward
        if isinstance(reward, torch.nn.Module):
            prompts = [self.prompts.ids[index] for index in indices]
            return score_with_model(reward, prompts, ids, self.models.end_tokens, self.rows)
        without_end = [row[:-1] if row and row[-1] in self.models.end_tokens else row for row in ids]
        texts = self.models.tokenizer.batch_decode(without_end)
        scores = score_with_function(reward, [self.prompts.originals[index] for index in indices], texts)
        return scores.to(self.accelerator.device)

    @torch.no_grad()
    def evaluate(self, prompts: list[list[int]], replies: SampledReplies, scores: Tensor) -> Batch:
        """Computes log-probabilities of policy and reference, and values.

        In fp32 the log-probabilities of the sampling are used. In bf16, decoding with a cache and a whole forward pass
        round differently. So they are computed again, because the ratio must start at 1.

        Args:
            prompts: The ids of R prompts.
            replies: Their replies.
            scores: (R,) raw rewards.
        """
        batch = batch_of(prompts, replies, scores, self.pad_token)
        for part in splits(batch.prompt_lengths + batch.lengths, 1, 0, self.rows):
            group = rows_of(batch, part)
            where = (part[:, None], torch.arange(group.mask.shape[1], device=part.device))
            with self.reference_policy() as reference:
                logprobs = reference_logprobs(reference, group.sequences, self.settings.temperature)
            batch.ref_logprobs[where] = scatter(logprobs, group.mask)
            if not self.exact:
                evaluation = self.models.model("evaluate", group.sequences)
                batch.logprobs[where] = scatter(evaluation.logprobs, group.mask)
                batch.values[where] = scatter(evaluation.values, group.mask)
            elif self.settings.value != "head":
                batch.values[where] = scatter(self.models.model("values", group.sequences), group.mask)
        return batch

    def gather(self, batch: Batch, order: Tensor) -> Batch:
        """The batch of all processes in the order of the prompts; `order` (B,) is the index of each gathered row."""
        accelerator = self.accelerator
        if accelerator.num_processes == 1:
            gathered = vars(batch)
        else:
            gathered = {
                name: accelerator.gather(accelerator.pad_across_processes(value, dim=1) if value.dim() > 1 else value)
                for name, value in vars(batch).items()
            }
        back = order.argsort().to(accelerator.device)
        return Batch(**{name: value[back] for name, value in gathered.items()})

    @contextlib.contextmanager
    def reference_policy(self) -> Iterator["PreTrainedModel"]:
        """The reference: the frozen copy, or the policy with its adapter off."""
        if self.models.reference is not None:
            yield self.models.reference
        else:
            with adapter_off(self.plain.policy) as policy:
                yield policy

    @property
    def pad_token(self) -> int:
        """Fills rows; never read, because lengths are known."""
        tokenizer = self.models.tokenizer
        return tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id


def batch_of(prompts: list[list[int]], replies: SampledReplies, scores: Tensor, pad_token: int) -> Batch:
    """The batch of prompts and replies; the reference's log-probabilities are 0 at first.

    Args:
        prompts: The ids of B prompts.
        replies: Their replies.
        scores: (B,) raw rewards.
        pad_token: Fills shorter rows.
    """
    device = replies.tokens.device
    rows = [
        [*prompt, *reply[:length].tolist()]
        for prompt, reply, length in zip(prompts, replies.tokens, replies.lengths, strict=True)
    ]
    tokens, _ = pad_right(rows, pad_token, device)
    return Batch(
        tokens,
        prompt_lengths=torch.tensor([len(prompt) for prompt in prompts], device=device),
        mask=torch.arange(replies.tokens.shape[1], device=device) < replies.lengths[:, None],
        ended=replies.ended,
        scores=scores,
        logprobs=replies.logprobs,
        ref_logprobs=torch.zeros_like(replies.logprobs),
        values=replies.values,
    )


def encode(
    prompts: Sequence[Prompt], tokenizer: "PreTrainedTokenizerBase", prompt_format: PromptFormat
) -> list[list[int]]:
    """Tokenizes prompts.

    Args:
        prompts: Texts, which are encoded without a template, or conversations.
        tokenizer: The policy's tokenizer.
        prompt_format: How a conversation is rendered.

    Returns:
        The ids of each prompt.

    Raises:
        UserError: The format of conversations is `chat` and the tokenizer has no template.
    """
    ids: list[list[int]] = []
    for prompt in prompts:
        if isinstance(prompt, str):
            ids += encode_prompts([prompt], tokenizer, "plain")
        else:
            if prompt_format == "chat" and not tokenizer.chat_template:
                raise UserError(
                    "prompts: they are conversations, and the policy's tokenizer has no chat template; take another "
                    "prompt_format (hh, plain) or set tokenizer.chat_template"
                )
            ids += encode_prompts([render(prompt, tokenizer, prompt_format)], tokenizer, prompt_format)
    return ids
