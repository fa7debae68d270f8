"""TRL's trainers as stages: settings to their arguments, metrics, guards, atomic checkpoints, the end.

Imports transformers: import it inside functions only.
"""

import time
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from trustdag.models.cpu import use_onednn
from trustdag.models.load import choose_bf16
from trustdag.train import checkpoints
from trustdag.train.cpu_logprobs import use_cpu_logprobs
from trustdag.train.divergence_guard import DivergenceGuard
from trustdag.train.metrics import MetricsLog
from trustdag.train.outputs import write_outputs
from trustdag.train.session import Session, batches, processes
from trustdag.train.settings import Lora, SupervisedSettings

NAMES = {
    "loss": "loss",
    "learning_rate": "learning_rate",
    "grad_norm": "grad_norm",
    "mean_token_accuracy": "token_accuracy",
    "accuracy": "accuracy",
    "margin": "margin",
    "mean_reward": "reward",
    "rewards/accuracies": "accuracy",
    "rewards/margins": "margin",
    "rewards/chosen": "reward_chosen",
    "rewards/rejected": "reward_rejected",
    "logps/chosen": "logp_chosen",
    "logps/rejected": "logp_rejected",
}
"""TRL's names of what it logs, and ours."""


def arguments(session: Session, settings: SupervisedSettings) -> dict[str, Any]:
    """Our settings as the arguments of any TRL configuration: the one place where the two vocabularies meet."""
    cut = batches(settings)
    return {
        "output_dir": str(session.folder),
        "seed": session.stage.seed,
        "data_seed": session.stage.seed,
        "learning_rate": settings.learning_rate,
        "lr_scheduler_type": settings.schedule if settings.schedule != "constant" else "constant_with_warmup",
        "warmup_steps": settings.warmup,
        "weight_decay": settings.weight_decay,
        "adam_beta1": settings.betas[0],
        "adam_beta2": settings.betas[1],
        "optim": {"adamw": "adamw_torch_fused", "rmsprop": "rmsprop"}[settings.optimizer],
        "max_grad_norm": settings.max_grad_norm,
        "num_train_epochs": settings.epochs,
        "max_steps": settings.max_steps or -1,
        "per_device_train_batch_size": cut.device,
        "per_device_eval_batch_size": cut.device,
        "gradient_accumulation_steps": cut.accumulation,
        "gradient_checkpointing": settings.gradient_checkpointing,
        "bf16": choose_bf16(settings.precision),
        "save_strategy": "steps",
        "save_steps": settings.checkpoint_every,
        "logging_steps": settings.log_every,
        "logging_nan_inf_filter": False,  # a NaN must be seen, not replaced by an average
        "eval_strategy": "steps" if settings.evaluate_every else "no",
        "eval_steps": settings.evaluate_every,
        "prediction_loss_only": True,
        "max_length": None,  # lengths are checked when the pairs are tokenised
        "ddp_find_unused_parameters": False,
        "dataloader_pin_memory": torch.cuda.is_available(),
        "use_cpu": not torch.cuda.is_available(),  # otherwise processes without a GPU would not know of each other
        "report_to": "none",
        "disable_tqdm": True,
    }


def lora_config(lora: Lora | None, task: str) -> Any:
    """peft's configuration of an adapter on every linear layer but the head; None without an adapter."""
    if lora is None:
        return None
    from peft import LoraConfig

    return LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules="all-linear",
        modules_to_save=["score"] if task == "SEQ_CLS" else None,
        task_type=task,
    )


class StageTrainer:
    """What stages add to a TRL trainer; stands before it among the base classes."""

    session: Session

    def __init__(self: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if self.accelerator.num_processes != processes():
            raise RuntimeError(
                f"{processes()} processes were started, but {self.accelerator.num_processes} train together"
            )
        if torch.cuda.is_available():
            return
        if not self.args.bf16:
            use_onednn(self.model)
        if hasattr(self.model, "generate"):
            use_cpu_logprobs(self.model.get_base_model() if hasattr(self.model, "get_base_model") else self.model)

    def _send_telemetry(self) -> None:
        """TRL reports each trainer's use to the hub; we report nothing."""

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """TRL writes a card of its own into each checkpoint; ours is written at the end."""

    def _maybe_log_save_evaluate(self: Any, *args: Any, **kwargs: Any) -> None:
        # Each checkpoint is preceded by a line of metrics: the guard sees the loss before the weights are kept, and no
        # average spans a restart.
        # The last step gets none: from a checkpoint of it transformers would go on with one step too many.
        done = self.state.global_step >= self.state.max_steps
        stop = self._asked_to_stop() and not done
        self.control.should_save = (self.control.should_save or stop) and not done
        self.control.should_log |= self.control.should_save or done
        super()._maybe_log_save_evaluate(*args, **kwargs)  # type: ignore[misc]
        if stop:
            self.session.stop.leave(self.state.global_step)

    def _asked_to_stop(self: Any) -> bool:
        """Whether a signal has reached any process: all must save at the same step."""
        asked = bool(self.session.stop)
        if self.accelerator.num_processes == 1:
            return asked
        flag = torch.tensor([int(asked)], device=self.accelerator.device)
        return bool(self.accelerator.reduce(flag, "sum").item())

    def _save_checkpoint(self: Any, model: Any, trial: Any) -> None:
        step, folder = self.state.global_step, self.session.folder
        partial = checkpoints.partial_folder(folder)
        self.args.output_dir = str(partial)
        try:
            super()._save_checkpoint(model, trial)  # type: ignore[misc]
        finally:
            self.args.output_dir = str(folder)
        self.accelerator.wait_for_everyone()
        if self.accelerator.is_main_process:
            checkpoints.keep(partial / f"{checkpoints.PREFIX}{step}", folder, step)
        self.accelerator.wait_for_everyone()

    def _load_from_checkpoint(self: Any, resume_from_checkpoint: str, model: Any = None) -> None:
        # transformers 5.23 drops the names that it does not find in the model without a word. GPT-NeoX's head is saved
        # under another name than it has in memory, and would go on from where the stage began.
        if not isinstance(self.model, PreTrainedModel) or self.is_fsdp_enabled or self.is_deepspeed_enabled:
            super()._load_from_checkpoint(resume_from_checkpoint, model)  # type: ignore[misc]
            return
        saved = type(self.model).from_pretrained(resume_from_checkpoint, dtype=self.model.dtype, local_files_only=True)
        self.model.load_state_dict(saved.state_dict())

    def compute_loss(self: Any, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        mode = "train" if self.model.training else "eval"
        loss = super().compute_loss(model, inputs, *args, **kwargs)  # type: ignore[misc]
        self.__dict__.setdefault("_sizes", {"train": [], "eval": []})[mode].append(len(inputs["input_ids"]))
        return loss

    def log(self: Any, logs: dict[str, float], start_time: float | None = None) -> None:
        # TRL averages the means of batches; the last batch of an evaluation is smaller and must weigh less.
        mode = "train" if self.model.training else "eval"
        sizes = self.__dict__.setdefault("_sizes", {"train": [], "eval": []})
        for values in self._metrics[mode].values():
            if len(values) == len(sizes[mode]):
                values[:] = [sum(v * n for v, n in zip(values, sizes[mode], strict=True)) / sum(sizes[mode])]
        sizes[mode].clear()
        super().log(logs, start_time)  # type: ignore[misc]


class MetricsCallback(TrainerCallback):
    """Writes what a trainer logs to metrics.jsonl under our names, and stops a run that diverges."""

    def __init__(self, session: Session) -> None:
        self.folder, self.name = session.folder, session.stage.method
        self._tokens, self._since = 0, time.perf_counter()

    def on_train_begin(self, *args: Any, **kwargs: Any) -> None:  # noqa: ARG002
        state = args[1]
        self.metrics = MetricsLog(self.folder, self.name, state.max_steps)
        if state.is_world_process_zero:
            self.metrics.rewind(state.global_step)
        self.guard = DivergenceGuard(self.name, state.max_steps, self.metrics.path)
        self._since = time.perf_counter()

    def on_log(self, *args: Any, logs: dict[str, float], **kwargs: Any) -> None:  # noqa: ARG002
        state = args[1]
        split = "validation" if "eval_loss" in logs else "train"
        named = {name.removeprefix("eval_"): value for name, value in logs.items()}
        values = {ours: float(named[theirs]) for theirs, ours in NAMES.items() if theirs in named}
        if "loss" not in values:  # the trainer's summary at the end
            return
        if split == "train":
            values["tokens_per_second"] = self._tokens_per_second(int(logs["num_tokens"]))
        if state.is_world_process_zero:
            self.metrics.write(state.global_step, split, values)
        if split == "train":
            self.guard.check(state.global_step, values)
        self._since = time.perf_counter()

    def _tokens_per_second(self, tokens: int) -> float:
        rate = (tokens - self._tokens) / (time.perf_counter() - self._since)
        self._tokens = tokens
        return rate


def fit(
    session: Session,
    trainer: Any,
    tokenizer: PreTrainedTokenizerBase,
    facts: dict[str, Any],
) -> None:
    """Trains from the newest checkpoint on, evaluates, and writes the stage's outputs."""
    trainer.session = session
    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    callback = MetricsCallback(session)
    trainer.add_callback(callback)
    checkpoint = checkpoints.latest(session.folder)
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    validation = _final_validation(trainer, callback.metrics)
    state_dict = trainer.accelerator.get_state_dict(trainer.model_wrapped)
    if trainer.accelerator.is_main_process:
        model, state_dict = _plain(trainer.accelerator.unwrap_model(trainer.model_wrapped), state_dict)
        facts = {**facts, "steps": trainer.state.global_step, "validation": validation}
        write_outputs(session.stage, session.settings, model, tokenizer, facts, state_dict)
    trainer.accelerator.wait_for_everyone()


def _final_validation(trainer: Any, metrics: MetricsLog) -> dict[str, float]:
    """The metrics on the validation pairs after the last step; evaluated now unless that has been done."""
    trainer.accelerator.wait_for_everyone()
    last = metrics.last("validation")
    if last is None or last["step"] != trainer.state.global_step:
        trainer.evaluate()
        trainer.accelerator.wait_for_everyone()
        last = metrics.last("validation")
    return {name: value for name, value in (last or {}).items() if isinstance(value, float)}


def _plain(model: Any, state_dict: dict[str, Any]) -> tuple[PreTrainedModel, dict[str, Any] | None]:
    """The model without an adapter: merged where there is one."""
    if not hasattr(model, "merge_and_unload"):
        return model, state_dict
    return model.merge_and_unload(), None
