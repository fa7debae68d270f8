"""Runs a TRL trainer as a stage: its arguments, metrics, divergence checks, atomic checkpoints and outputs.

Imports transformers: import it inside functions only.
"""

import time
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from trustdag.models.load import choose_bf16
from trustdag.train import checkpoints
from trustdag.train.divergence_guard import DivergenceGuard
from trustdag.train.lora import merged
from trustdag.train.memory import Passes
from trustdag.train.metrics import MetricsLog
from trustdag.train.outputs import write_outputs
from trustdag.train.session import Session
from trustdag.train.settings import SupervisedSettings

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
"""Names of metrics: TRL's, and those of metrics.jsonl."""


def arguments(session: Session, settings: SupervisedSettings, passes: Passes) -> dict[str, Any]:
    """Translates settings to the arguments of a TRL configuration.

    Args:
        session: The stage and the folder of its checkpoints.
        settings: The method's settings.
        passes: How the examples of one optimizer step pass through the model.
    """
    return {
        "output_dir": str(checkpoints.partial_folder(session.folder)),  # `StageCallback` moves a checkpoint out of it
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
        "per_device_train_batch_size": passes.batches.device,
        "per_device_eval_batch_size": passes.batches.device,
        "gradient_accumulation_steps": passes.batches.accumulation,
        "gradient_checkpointing": passes.recompute,
        "bf16": choose_bf16(settings.precision),
        "save_strategy": "steps",
        "save_steps": settings.checkpoint_every,
        "logging_steps": settings.log_every,
        "logging_nan_inf_filter": False,  # the divergence check needs NaN, which the filter would replace by a mean
        "eval_strategy": "steps" if settings.evaluate_every else "no",
        "eval_steps": settings.evaluate_every,
        "prediction_loss_only": True,
        "max_length": None,  # lengths are checked when the pairs are tokenized
        "ddp_find_unused_parameters": False,
        "dataloader_pin_memory": torch.cuda.is_available(),
        "use_cpu": not torch.cuda.is_available(),  # otherwise processes without a GPU would train separately
        "report_to": "none",  # `MetricsLog` hands each line to the trackers, with the names of metrics.jsonl
        "disable_tqdm": True,
    }


class StageCallback(TrainerCallback):
    """Writes metrics.jsonl, stops a run that diverges, and makes checkpoints atomic."""

    metrics: MetricsLog

    def __init__(self, session: Session, accelerator: Any, checkpoint: Path | None) -> None:
        self._session, self._accelerator, self._checkpoint = session, accelerator, checkpoint
        self._tokens, self._since = 0, time.perf_counter()
        self._leaving = False

    def on_train_begin(self, args: Any, state: Any, _control: Any, **_context: Any) -> None:
        """Opens the metrics. A resumed run uses the intervals of its present settings, not of its checkpoint."""
        state.compute_steps(args, state.max_steps)
        name = self._session.stage.method
        self.metrics = MetricsLog(self._session.folder, name, state.max_steps, self._session.trackers)
        if state.is_world_process_zero:
            self.metrics.restore(self._checkpoint, state.global_step)
        self._accelerator.wait_for_everyone()
        self._guard = DivergenceGuard(name, state.max_steps, self.metrics.path)
        self._since = time.perf_counter()

    def on_step_end(self, _args: Any, state: Any, control: Any, **_context: Any) -> Any:
        """Decides whether this step is logged and saved, and removes old checkpoints before a new one.

        A line of metrics precedes each checkpoint: so the loss is checked before the weights are saved, and no mean
        spans a restart. The last step gets no checkpoint, because transformers would make one step too many from it.
        """
        done = state.global_step >= state.max_steps
        self._leaving = self._stop_requested() and not done
        control.should_save = (control.should_save or self._leaving) and not done
        control.should_log |= control.should_save or done
        if control.should_save and state.is_world_process_zero:
            checkpoints.make_room(self._session.folder)
        return control

    def on_save(self, args: Any, state: Any, _control: Any, **_context: Any) -> None:
        """Moves the new checkpoint to its final folder, and exits if a signal requested it."""
        self._accelerator.wait_for_everyone()
        if self._accelerator.is_main_process:
            written = Path(args.output_dir) / f"{checkpoints.PREFIX}{state.global_step}"
            checkpoints.keep(written, self._session.folder, state.global_step)
        self._accelerator.wait_for_everyone()
        if self._leaving:
            self._session.stop.leave(state.global_step)

    def on_log(
        self, _args: Any, state: Any, _control: Any, logs: dict[str, float] | None = None, **_context: Any
    ) -> None:
        """Writes one line of metrics and stops a run that diverges."""
        logs = logs or {}
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
            self._guard.check(state.global_step, values)
        self._since = time.perf_counter()

    def _stop_requested(self) -> bool:
        """Whether any process got a signal: all processes must save at the same step."""
        requested = bool(self._session.stop)
        if self._accelerator.num_processes == 1:
            return requested
        flag = torch.tensor([int(requested)], device=self._accelerator.device)
        return bool(self._accelerator.reduce(flag, "sum").item())

    def _tokens_per_second(self, tokens: int) -> float:
        rate = (tokens - self._tokens) / (time.perf_counter() - self._since)
        self._tokens = tokens
        return rate


def fit(session: Session, trainer: Any, tokenizer: PreTrainedTokenizerBase, facts: dict[str, Any]) -> None:
    """Trains from the newest checkpoint on, evaluates, and writes the stage's outputs.

    Args:
        session: The stage and the folder of its checkpoints.
        trainer: A trainer of `trl_adapter`.
        tokenizer: Written with the model.
        facts: For the manifest and the model card; steps and the last validation are added.
    """
    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    checkpoint = checkpoints.latest_for_all(trainer.accelerator, session.folder)
    callback = StageCallback(session, trainer.accelerator, checkpoint)
    trainer.add_callback(callback)
    if checkpoint is not None:
        _load_weights(trainer, checkpoint)
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    validation = _final_validation(trainer, callback.metrics)
    state_dict = trainer.accelerator.get_state_dict(trainer.model_wrapped)
    if trainer.accelerator.is_main_process:
        trained = trainer.accelerator.unwrap_model(trainer.model_wrapped)
        model = merged(trained)
        facts = {**facts, "steps": trainer.state.global_step, "validation": validation}
        # The names of `state_dict` are those of the model before its adapter was merged.
        weights = state_dict if model is trained else None
        write_outputs(session.stage, session.settings, model, tokenizer, facts, weights)
    trainer.accelerator.wait_for_everyone()


def _load_weights(trainer: Any, checkpoint: Path) -> None:
    """Loads a checkpoint's weights before transformers does, because it skips weights whose names have changed.

    GPT-NeoX's head has another name in files than in memory. transformers 5.23 skips it without a message, so the head
    would have the weights from the start of the stage. Adapters and sharded weights keep their names.
    """
    model = trainer.model
    if not isinstance(model, PreTrainedModel) or trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled:
        return
    saved = type(model).from_pretrained(checkpoint, dtype=model.dtype, local_files_only=True, attn_implementation=None)
    model.load_state_dict(saved.state_dict())


def _final_validation(trainer: Any, metrics: MetricsLog) -> dict[str, float]:
    """The metrics on the validation pairs after the last step. Evaluates them if that was not done."""
    trainer.accelerator.wait_for_everyone()
    last = metrics.last("validation")
    if last is None or last["step"] != trainer.state.global_step:
        trainer.evaluate()
        trainer.accelerator.wait_for_everyone()
        last = metrics.last("validation")
    return {name: value for name, value in (last or {}).items() if isinstance(value, float)}
