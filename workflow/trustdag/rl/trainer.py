"""The PPO trainer: sample replies, score them, learn from them."""

import gc
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from trustdag.models.cpu import keep_freed_memory, release_before_embeddings, use_onednn
from trustdag.models.dialogue import PromptFormat
from trustdag.models.load import choose_bf16
from trustdag.models.mapped import MappedWeights, map_frozen
from trustdag.models.tokens import end_tokens
from trustdag.rl import checks, losses, state
from trustdag.rl.adapters import accumulating, configure_deepspeed, disable_dropout
from trustdag.rl.batch import Batch, Experience, rows_of, splits
from trustdag.rl.control import KLController, RunningMoments, shape_scores
from trustdag.rl.distributed import any_process, clip_gradient, is_sharded
from trustdag.rl.model import (
    ActorCritic,
    build_value,
    copy_reference,
    train_top_layers,
)
from trustdag.rl.report import UpdateLog, check_health, check_variety, gradient_is_finite
from trustdag.rl.rewards import RewardFunction
from trustdag.rl.rollout import Prompt, PromptSet, RolloutModels, Rollouts, encode
from trustdag.rl.settings import PPOSettings
from trustdag.train import checkpoints
from trustdag.train.checkpoints import StopRequest
from trustdag.train.lora import add_adapter, base_of, merged
from trustdag.train.memory import ActivationBudget
from trustdag.train.optimizer import LearningRateSchedule, build_adamw, warmup_steps
from trustdag.train.trackers import Trackers

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


class PPOTrainer:
    """Proximal policy optimization (Schulman et al. 2017) with a KL penalty to the policy that it starts from.

    All random numbers are functions of the seed and the update's number. So a run gives the same result after
    interruptions and with any number of processes.
    """

    def __init__(
        self,
        policy: "PreTrainedModel",
        tokenizer: "PreTrainedTokenizerBase",
        reward: "PreTrainedModel | RewardFunction",
        prompts: Sequence[Prompt],
        settings: PPOSettings,
        folder: Path,
        *,
        seed: int = 0,
        prompt_format: PromptFormat = "chat",
        reward_tokenizer: "PreTrainedTokenizerBase | None" = None,
        trackers: Trackers | None = None,
    ) -> None:
        """Checks and prepares everything for training.

        Args:
            policy: The policy, in fp32.
            tokenizer: The policy's tokenizer.
            reward: A sequence classifier with one label that reads the policy's tokens, or any function of (prompts,
                completions) -> floats.
            prompts: Texts, or conversations.
            settings: The settings.
            folder: Folder of checkpoints, metrics.jsonl and samples.jsonl. A run continues from its last checkpoint.
            seed: The seed of all random numbers.
            prompt_format: How conversations are rendered.
            reward_tokenizer: The reward model's tokenizer, to check that it reads the same tokens.
            trackers: They get each line of metrics.jsonl.

        Raises:
            UserError: The models, prompts or settings do not fit each other.
        """
        from accelerate import Accelerator, DistributedDataParallelKwargs

        self.settings, self.tokenizer, self.folder, self.seed = settings, tokenizer, folder, seed
        self.bf16 = choose_bf16(settings.precision)
        self.accelerator = Accelerator(
            cpu=not torch.cuda.is_available(),
            mixed_precision="bf16" if self.bf16 else "no",
            kwargs_handlers=[DistributedDataParallelKwargs(broadcast_buffers=False)],
        )
        self.prompts = PromptSet(list(prompts), encode(prompts, tokenizer, prompt_format))
        self.reward_model: PreTrainedModel | None = reward if isinstance(reward, torch.nn.Module) else None
        self._check(policy, reward_tokenizer)
        self._build(policy)
        self.kl = KLController(settings.kl_coef, settings.kl_target, settings.kl_horizon)
        self.moments = RunningMoments()
        self.update = 0
        self.collapsed_updates = 0
        self.log = UpdateLog(folder, settings, self.accelerator, trackers)
        ends = end_tokens(tokenizer, policy.generation_config, prompt_format)
        models = RolloutModels(self.model, self.reference, reward, tokenizer, ends, self._map_frozen())
        self.rollouts = Rollouts(models, self.prompts, settings, self.accelerator, self.log)

    def _check(self, policy: "PreTrainedModel", reward_tokenizer: "PreTrainedTokenizerBase | None") -> None:
        checks.check_division(self.settings, self.accelerator.num_processes)
        checks.check_policy(policy, self.tokenizer)
        checks.check_prompts(self.prompts.ids, (policy, self.reward_model), self.settings)
        if self.reward_model is not None:
            checks.check_reward_model(self.reward_model, reward_tokenizer, policy, self.tokenizer)

    def _build(self, policy: "PreTrainedModel") -> None:
        """Builds reference, value model and optimizer, each on its device."""
        settings, accelerator = self.settings, self.accelerator
        frozen = {"device": accelerator.device, "dtype": torch.bfloat16 if self.bf16 else None}
        if self.reward_model is not None:
            self.reward_model.requires_grad_(False).eval()
        critic, head = build_value(settings.value, policy, self.reward_model)
        if settings.top_layers is not None:
            train_top_layers(policy, settings.top_layers)
        self.reference = None if settings.lora is not None else copy_reference(policy)
        if settings.lora is not None:
            policy = add_adapter(policy, settings.lora)
        model = ActorCritic(policy, critic, head, settings.temperature, settings.entropy_coef > 0)
        checks.check_precision(model)
        disable_dropout(model)
        self._plan_memory(policy, critic)
        if self.recompute:
            for trunk in filter(None, (base_of(policy), critic)):
                trunk.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        model.to(accelerator.device)
        configure_deepspeed(accelerator, settings)
        self.model, self.optimizer = accelerator.prepare(model, build_optimizer(model, settings))
        for fixed in filter(None, (self.reference, self.reward_model)):
            fixed.to(**{name: value for name, value in frozen.items() if value is not None})
        self.plain = accelerator.unwrap_model(self.model)
        if accelerator.device.type == "cpu":
            keep_freed_memory()
        if not self.bf16:
            for module in filter(None, (self.plain, self.reference, self.reward_model)):
                use_onednn(module)

    def _map_frozen(self) -> tuple[MappedWeights, ...]:
        """The weights of reference and reward model, on a CPU, if they are large enough to leave memory."""
        if self.accelerator.device.type != "cpu":
            return ()
        frozen = filter(None, (self.reference, self.reward_model))
        mapped = [map_frozen(model, self.plain, self.folder) for model in frozen]
        return tuple(filter(None, mapped))

    def _plan_memory(self, policy: "PreTrainedModel", critic: torch.nn.Module | None) -> None:
        """Sets the number of tokens in a forward pass with gradients, and whether activations are recomputed."""
        self.budget, self.recompute = None, bool(self.settings.gradient_checkpointing)
        if self.accelerator.device.type != "cpu":
            return
        for trunk in filter(None, (base_of(policy), critic)):
            release_before_embeddings(trunk)
        self.budget = ActivationBudget.of(base_of(policy).config, trunks=1 if critic is None else 2)
        if self.settings.gradient_checkpointing is None:
            longest = max(map(len, self.prompts.ids)) + self.settings.max_new_tokens
            self.recompute = not self.budget.holds(longest)

    # --- The algorithm ---

    def train(self, stop: StopRequest | None = None) -> None:
        """Trains to the last update, from the last checkpoint if there is one.

        Exits with `EXIT_RESUMABLE` after a checkpoint if `stop` is set. Raises UserError if the run has diverged; the
        last checkpoint is kept.
        """
        stop = StopRequest() if stop is None else stop  # a request without a signal is false
        self.restore()
        while self.update < self.settings.updates:
            batch = self.rollout(self.next_prompts())  # x ~ D, y ~ pi(. | x), R(x, y), pi_ref(y | x), V
            experience = self.assign_credit(batch)  # r_t = R - beta KL_t, A_t and returns by GAE
            for epoch in range(self.settings.epochs):
                for minibatch in self.minibatches(experience, epoch):
                    self.improve(minibatch)  # one step down the clipped policy and value losses
            self.kl.update(self.log.values["kl"], self.settings.batch_size)
            self.update += 1
            self.finish_update(experience, stop)
        self.log.close()

    def next_prompts(self) -> list[int]:
        """The prompts of this update, (B,): every prompt once in random order, then all again in another order."""
        count, start = len(self.prompts.ids), self.update * self.settings.batch_size
        chosen: list[int] = []
        for position in range(start, start + self.settings.batch_size):
            if not chosen or position % count == 0:
                order = torch.randperm(count, generator=self.stream("prompts", position // count))
            chosen.append(int(order[position % count]))
        return chosen

    def rollout(self, chosen: list[int]) -> Batch:
        """Samples replies and evaluates them; all processes get the whole batch."""
        shape = (len(chosen), self.settings.max_new_tokens)
        uniforms = torch.rand(shape, generator=self.stream("replies", self.update), dtype=torch.float64)
        return self.rollouts.collect(chosen, uniforms)

    def assign_credit(self, batch: Batch) -> Experience:
        """Rewards per token, then advantages and returns."""
        settings = self.settings
        kl = losses.kl_estimate(batch.logprobs, batch.ref_logprobs, settings.kl_estimator)
        if settings.reward_scaling == "running":
            self.moments.update(batch.scores)
        scores = shape_scores(
            batch.scores, batch.ended, self.moments.deviation, settings.reward_clip, settings.missing_end_penalty
        )
        if self.update == 0 and self.settings.value != "reward_copy":
            batch = self.center_values(batch, scores.mean())
        rewards = losses.token_rewards(scores, kl, self.kl.coef, batch.mask)
        advantages, returns = losses.gae(rewards, batch.values, batch.mask, settings.gamma, settings.gae_lambda)
        self.log.describe_rollout(batch, rewards, returns, self.kl.coef)
        check_health(self.log.values, self.update, settings)
        self.collapsed_updates = self.collapsed_updates + 1 if self.log.values["distinct_replies"] == 1 else 0
        check_variety(self.collapsed_updates, self.update, settings)
        if settings.whiten_advantages:
            advantages = losses.whiten(advantages, batch.mask)
        return Experience(**vars(batch), advantages=advantages, returns=returns)

    def center_values(self, batch: Batch, mean: Tensor) -> Batch:
        """Sets the offset of a new value head to the mean reward of the first rollout.

        With values of 0, the last tokens would have the largest advantages for any reward (A_t = R lambda^(T - 1 - t)).
        The last token is the end-of-text token, so any positive reward would train the policy to stop early.
        """
        self.plain.value_offset = mean.item()
        return replace(batch, values=torch.where(batch.mask, batch.values + mean, 0.0))

    def minibatches(self, experience: Experience, epoch: int) -> Iterator[Experience]:
        """The whole batch in random order, in equal parts."""
        size = self.settings.batch_size // self.settings.minibatches
        order = torch.randperm(self.settings.batch_size, generator=self.stream("minibatches", self.update, epoch))
        for rows in order.split(size):
            yield rows_of(experience, rows.to(experience.mask.device))

    def improve(self, minibatch: Experience) -> None:
        """One optimizer step. This process trains on its share of the minibatch, in groups that fit in its memory."""
        accelerator, settings = self.accelerator, self.settings
        lengths = minibatch.prompt_lengths + minibatch.lengths
        size = settings.device_batch_size
        if size is None and self.budget is not None:
            size = max(1, self.budget.tokens // int(lengths.max()))
        groups = splits(lengths, accelerator.num_processes, accelerator.process_index, size)
        self.plain.train(self.recompute)
        for group in self.optimizer.param_groups:
            group["lr"] = settings.learning_rate * learning_rate_factor(settings, self.update)
        with self.log.phase("optimize"):
            for rows in groups:
                with accumulating(accelerator, self.model, last=rows is groups[-1]):
                    # Gradients are averaged over processes, but the mean must be over the tokens of all processes.
                    scale = accelerator.num_processes / minibatch.mask.sum()
                    accelerator.backward(self.loss(rows_of(minibatch, rows)) * scale)
            norm = clip_gradient(accelerator, self.model, settings.max_grad_norm)
            gradient_is_finite(norm, self.update)
            self.optimizer.step()
            self.optimizer.zero_grad()
        self.log.add_step(norm)

    def loss(self, group: Experience) -> Tensor:
        """L = sum over tokens of L_policy + c_V L_value - c_H H (Schulman et al. 2017, equation 9)."""
        settings, mask = self.settings, group.mask
        with self.accelerator.autocast():
            evaluation = self.model("evaluate", group.sequences)
        old_logprobs, advantages = group.logprobs[mask], group.advantages[mask]
        policy = losses.policy_loss(evaluation.logprobs, old_logprobs, advantages, settings.policy_clip)
        value = losses.value_loss(evaluation.values, group.values[mask], group.returns[mask], settings.value_clip)
        self.log.add_tokens(evaluation, old_logprobs, policy, value)
        loss = policy.losses + settings.value_coef * value.losses
        if settings.entropy_coef:
            loss = loss - settings.entropy_coef * evaluation.entropy
        return loss.sum()

    # --- The ends of an update ---

    def finish_update(self, experience: Experience, stop: StopRequest) -> None:
        """Writes the log and the checkpoint, and exits if a signal requested it."""
        settings = self.settings
        self.log.finish(self.update, learning_rate_factor(settings, self.update - 1) * settings.learning_rate)
        if self.update % settings.samples_every == 0 or self.update == 1:
            self.log.write_samples(self.update, self.samples(experience))
        leaving = any_process(self.accelerator, bool(stop))
        if leaving or self.update % settings.checkpoint_every == 0 or self.update == settings.updates:
            state.save(self.accelerator, self.folder, self.update, self.state_dict())
        if leaving and self.update < settings.updates:
            stop.leave(self.update)

    def samples(self, experience: Experience) -> list[dict[str, Any]]:
        """The first replies of the batch, as records."""
        records = []
        for row in range(min(self.settings.sample_count, len(experience.tokens))):
            start, length = int(experience.prompt_lengths[row]), int(experience.lengths[row])
            ids = experience.tokens[row].tolist()
            records.append(
                {
                    "prompt": self.tokenizer.decode(ids[:start]),
                    "reply": self.tokenizer.decode(ids[start : start + length]),
                    "reward": float(experience.scores[row]),
                    "ended": bool(experience.ended[row]),
                }
            )
        return records

    def restore(self) -> None:
        """Loads the last checkpoint, if there is one."""
        checkpoint = checkpoints.latest_for_all(self.accelerator, self.folder)
        if checkpoint is not None:
            self.load_state_dict(state.load(self.accelerator, checkpoint))
        self.log.start(self.update, checkpoint)

    def state_dict(self) -> dict[str, Any]:
        """The state of a run besides model, optimizer and random states, as JSON types."""
        return {
            "kl_coef": self.kl.coef,
            "value_offset": self.plain.value_offset,
            "moments": vars(self.moments),
            "collapsed_updates": self.collapsed_updates,
        }

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """The inverse of `state_dict`; `saved` also contains `update`."""
        self.update = saved["update"]
        self.kl.coef = saved["kl_coef"]
        self.plain.value_offset = saved["value_offset"]
        self.moments = RunningMoments(**saved["moments"])
        self.collapsed_updates = saved["collapsed_updates"]

    def trained_policy(self) -> "tuple[PreTrainedModel, dict[str, Tensor] | None]":
        """The result of the training.

        Returns:
            The policy with its adapter merged, and its weights if they are sharded over processes, else None. Only the
            first process always gets them.
        """
        policy, lora = self.plain.policy, self.settings.lora
        if not is_sharded(self.accelerator):
            return merged(policy), None
        weights = self.accelerator.get_state_dict(self.model) or {}
        prefix = "policy."
        own = {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
        if lora is None or not own:
            return policy, own
        base = base_of(policy)
        whole = add_adapter(type(base)(base.config), lora)
        whole.load_state_dict(own)
        return merged(whole), None

    def close(self) -> None:
        """Ends the use of the reference and the reward model, and of the file with their weights.

        Until then, a network file system (NFS) would not remove the folder.
        """
        self.reference = self.reward_model = None
        del self.rollouts
        gc.collect()

    # --- Small parts ---

    def stream(self, name: str, *numbers: int) -> torch.Generator:
        """A separate random stream for each purpose and number."""
        digest = hashlib.sha256(repr((self.seed, name, *numbers)).encode()).digest()
        return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big", signed=True))


def build_optimizer(model: torch.nn.Module, settings: PPOSettings) -> torch.optim.Optimizer:
    """AdamW over the trainable parameters."""
    return build_adamw(
        model,
        learning_rate=settings.learning_rate,
        betas=settings.betas,
        weight_decay=settings.weight_decay,
        epsilon=settings.adam_epsilon,
    )


def learning_rate_factor(settings: PPOSettings, update: int) -> float:
    """The share of the peak learning rate in an update, 0 being the first."""
    warmup = warmup_steps(settings.warmup, settings.updates)
    return LearningRateSchedule(settings.updates, warmup, settings.schedule).rate(update)
