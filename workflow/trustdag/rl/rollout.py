"""A rollout: what the policy replies to prompts, and what reward, reference and value model say about the replies."""

import contextlib
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from trustdag.errors import UserError
from trustdag.models.dialogue import Message, PromptFormat, render
from trustdag.models.tokens import encode_prompts
from trustdag.rl.batch import Batch, rows_of, scatter, splits
from trustdag.rl.distributed import any_process, is_sharded
from trustdag.rl.model import ActorCritic, adapter_off, reference_logprobs
from trustdag.rl.report import UpdateLog
from trustdag.rl.rewards import RewardFunction, pad_right, score_with_function, score_with_model
from trustdag.rl.sampling import Replies, SamplingRules, generate
from trustdag.rl.settings import PPOSettings
from trustdag.train.lora import base_of

if TYPE_CHECKING:
    from accelerate import Accelerator
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Prompt = str | Sequence[Message]


class Rollouts:
    """Asks the policy, and everyone else what they think of its replies.

    `model` is the policy with its value model as accelerate has prepared it. `reference` is the frozen copy, or None
    where the reference is the policy with its adapter off.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        reference: "PreTrainedModel | None",
        reward: "PreTrainedModel | RewardFunction",
        tokenizer: "PreTrainedTokenizerBase",
        prompts: list[Prompt],
        prompt_ids: list[list[int]],
        settings: PPOSettings,
        accelerator: "Accelerator",
        log: UpdateLog,
        end_tokens: tuple[int, ...],
    ) -> None:
        self.model, self.reference, self.reward = model, reference, reward
        self.plain: ActorCritic = accelerator.unwrap_model(model)
        self.tokenizer, self.prompts, self.prompt_ids = tokenizer, prompts, prompt_ids
        self.settings, self.accelerator, self.log = settings, accelerator, log
        self.end_tokens = end_tokens
        self.exact = accelerator.mixed_precision == "no"
        # As many replies in one forward pass as in learning: what fits there fits here, logits above all.
        share = settings.batch_size // settings.minibatches // accelerator.num_processes
        self.rows = settings.device_batch_size or share

    def collect(self, chosen: list[int], uniforms: Tensor) -> Batch:
        """The replies of all processes to prompts `chosen` (B,), drawn with `uniforms` (B, max_new_tokens)."""
        lengths = torch.tensor([len(self.prompt_ids[index]) for index in chosen])
        parts = self.accelerator.num_processes
        shares = [splits(lengths, parts, part, None)[0] for part in range(parts)]
        own = shares[self.accelerator.process_index]
        indices = [chosen[row] for row in own]
        prompts = [self.prompt_ids[index] for index in indices]
        self.plain.eval()
        with self.log.phase("generate"), self.accelerator.autocast():
            replies = self.write(prompts, uniforms[own])
        with self.log.phase("reward"), self.accelerator.autocast():
            scores = self.score(indices, replies)
        with self.log.phase("evaluate"), self.accelerator.autocast():
            batch = self.evaluate(prompts, replies, scores)
        return self.gather(batch, torch.cat(shares))

    def write(self, prompts: list[list[int]], uniforms: Tensor) -> Replies:
        """The policy's replies to this process's prompts."""
        sharded = is_sharded(self.accelerator)
        rules = SamplingRules(
            self.settings.max_new_tokens,
            self.end_tokens,
            self.pad_token,
            self.settings.rollout_batch_size,
            partial(any_process, self.accelerator) if sharded else bool,
            len(self.tokenizer),
        )
        model = self.model if sharded else self.plain
        uniforms = uniforms.to(self.accelerator.device)
        return generate(partial(model, "step"), base_of(self.plain.policy).config, prompts, uniforms, rules)

    def score(self, indices: list[int], replies: Replies) -> Tensor:
        """The raw reward of each reply, (R,)."""
        ids = [row[:length].tolist() for row, length in zip(replies.tokens, replies.lengths, strict=True)]
        if isinstance(self.reward, torch.nn.Module):
            prompts = [self.prompt_ids[index] for index in indices]
            return score_with_model(self.reward, prompts, ids, self.end_tokens, self.rows)
        texts = self.tokenizer.batch_decode([row[:-1] if row and row[-1] in self.end_tokens else row for row in ids])
        scores = score_with_function(self.reward, [self.prompts[index] for index in indices], texts)
        return scores.to(self.accelerator.device)

    @torch.no_grad()
    def evaluate(self, prompts: list[list[int]], replies: Replies, scores: Tensor) -> Batch:
        """Log-probabilities of policy and reference, and values. What generation found is used where it is exact: in
        fp32. In bf16 a step with a cache and a whole forward pass round differently, and the ratio must start at 1."""
        batch = joined(prompts, replies, scores, self.pad_token)
        for part in splits(batch.prompt_lengths + batch.lengths, 1, 0, self.rows):
            group = rows_of(batch, part)
            where = (part[:, None], torch.arange(group.mask.shape[1], device=part.device))
            with self.reference_policy() as reference:
                found = reference_logprobs(reference, group.sequences, self.settings.temperature)
            batch.ref_logprobs[where] = scatter(found, group.mask)
            if not self.exact:
                judged = self.model("evaluate", group.sequences)
                batch.logprobs[where] = scatter(judged.logprobs, group.mask)
                batch.values[where] = scatter(judged.values, group.mask)
            elif self.settings.value != "head":
                batch.values[where] = scatter(self.model("values", group.sequences), group.mask)
        return batch

    def gather(self, batch: Batch, order: Tensor) -> Batch:
        """The batch of all processes, back in the order of the prompts; `order` (B,) is where each row came from."""
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
        if self.reference is not None:
            yield self.reference
        else:
            with adapter_off(self.plain.policy) as policy:
                yield policy

    @property
    def pad_token(self) -> int:
        """Fills rows; never read, as lengths are known."""
        return self.tokenizer.eos_token_id if self.tokenizer.pad_token_id is None else self.tokenizer.pad_token_id


def joined(prompts: list[list[int]], replies: Replies, scores: Tensor, pad_token: int) -> Batch:
    """Prompts with their replies and scores; what the reference says is still to come."""
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
    """The ids of prompts: texts as they are, conversations as `prompt_format` renders them.

    Raises UserError for conversations in the prompt_format `chat` if the tokenizer has no template.
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
