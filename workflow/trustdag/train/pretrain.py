"""A small GPT-NeoX trained from scratch: its own tokenizer, packed sequences, a plain PyTorch loop.

The architecture is Pythia's (Biderman et al. 2023, arXiv 2304.01373): parallel residuals, rotary embeddings on a
quarter of each head, untied embeddings.
"""

import math
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trustdag.artifacts import atomic_folder, read_table, sha256_text
from trustdag.data.card import table_digest
from trustdag.errors import UserError
from trustdag.models.base import Scratch
from trustdag.models.dialogue import PromptFormat
from trustdag.models.folder import write_model
from trustdag.models.load import load_tokenizer
from trustdag.models.logging_setup import hide_library_messages
from trustdag.seals import seal, whole
from trustdag.train import checkpoints
from trustdag.train.cost import MethodCost
from trustdag.train.divergence_guard import DivergenceGuard
from trustdag.train.metrics import MetricsLog
from trustdag.train.optimizer import LearningRateSchedule, build_adamw
from trustdag.train.trackers import tracked
from trustdag.train.tracking import OFF, Tracking

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

END_OF_TEXT = "<|endoftext|>"
PADDING = "<|padding|>"


def cost(settings: Scratch) -> MethodCost:
    """One model is trained, on packed sequences."""
    return MethodCost(
        trained=1,
        frozen=0,
        sequences=1,
        flops=6,
        device_batch=settings.batch_size,
        examples=settings.steps * settings.batch_size,
    )


def make(
    settings: Scratch,
    corpus: Path,
    prompt_format: PromptFormat,
    out: Path,
    tracking: Tracking = OFF,
) -> None:
    """Trains the tokenizer and the model and writes them; resumes from its last checkpoint after a kill.

    Args:
        settings: Sizes of the model, and settings of its training.
        corpus: Parquet file with a column `text`.
        prompt_format: How the model's prompts are rendered; recorded in the manifest.
        out: Folder that will hold `model/`, `manifest.json` and `metrics.jsonl`.
        tracking: Live trackers of the training.

    Raises:
        UserError: The corpus is missing, empty or too small for one batch, or the training diverges.
    """
    import torch

    from trustdag.models.threads import use_threads

    hide_library_messages()
    threads = use_threads()
    digest = table_digest(corpus) if corpus.is_file() else _missing(corpus)
    folder = checkpoints.folder_of(out, sha256_text([settings.results_json(), digest, str(threads)]))
    shown = settings.model_dump(mode="json") | {"method": "base"}
    with (
        checkpoints.exclusive(folder),
        checkpoints.stop_on_signals() as stop,
        tracked(tracking, folder.name, shown) as trackers,
    ):
        torch.manual_seed(settings.seed)
        training, validation = _split(read_corpus(corpus), settings)
        tokenizer = _tokenizer(training, settings, folder)
        data = pack(training, tokenizer, settings.context)
        held_out = pack(validation, tokenizer, settings.context)
        if len(data) < settings.batch_size:
            raise UserError(
                f"{corpus}: holds {len(data)} sequences of {settings.context} tokens, fewer than batch_size "
                f"{settings.batch_size}; lower batch_size or context, or take a larger corpus"
            )
        log = MetricsLog(folder, "base", settings.steps, trackers)
        run = PretrainingRun(settings, build(settings, tokenizer), data, folder, log)
        run.train(stop)
        loss = run.validate(held_out)
        facts = {
            "texts": {"training": len(training), "validation": len(validation)},
            "tokens_in_corpus": int(data.size),
            "validation_loss": loss,
        }
        made_by = {
            "settings": settings.model_dump(mode="json"),
            "inputs": {"corpus": digest},
            "seed": settings.seed,
            "threads": threads,
        }
        write_model(out, run.model, tokenizer, kind="policy", prompt_format=prompt_format, made_by=made_by, facts=facts)
        run.log.copy_to(out / "metrics.jsonl")
    checkpoints.remove(folder)


def read_corpus(path: Path) -> list[str]:
    """The texts of a corpus.parquet. Raises UserError if it has no column `text` or no text."""
    frame = read_table(path, ["text"], "texts")
    if frame.empty:
        raise UserError(f"{path}: holds no text")
    return frame["text"].tolist()


def train_tokenizer(texts: list[str], vocabulary: int, context: int) -> "PreTrainedTokenizerBase":
    """A byte-level BPE tokenizer with an end-of-text and a padding token, as Pythia's.

    Args:
        texts: The training texts.
        vocabulary: Largest size of its vocabulary.
        context: Longest text of the model, in tokens.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[END_OF_TEXT, PADDING],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=END_OF_TEXT, pad_token=PADDING, model_max_length=context
    )


def pack(texts: list[str], tokenizer: "PreTrainedTokenizerBase", context: int) -> "np.ndarray[Any, Any]":
    """Packs all texts, each followed by the end-of-text token, into rows of equal length.

    Rows overlap by one token, so that each token but the first is predicted once. The remainder after the last row is
    dropped. Texts that are shorter than one row are repeated.

    Args:
        texts: The texts, in order.
        tokenizer: The model's tokenizer.
        context: Tokens that are predicted in one row.

    Returns:
        Token ids (rows, context + 1), int32.
    """
    ids = tokenizer(texts, add_special_tokens=False)["input_ids"]
    stream = np.fromiter((token for text in ids for token in (*text, tokenizer.eos_token_id)), dtype=np.int32)
    stream = np.resize(stream, max(len(stream), context + 1))
    rows = (len(stream) - 1) // context
    return np.stack([stream[row * context : (row + 1) * context + 1] for row in range(rows)])


def build(settings: Scratch, tokenizer: "PreTrainedTokenizerBase") -> "PreTrainedModel":
    """The model with random weights."""
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    config = GPTNeoXConfig(
        vocab_size=len(tokenizer),
        hidden_size=settings.hidden_size,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        intermediate_size=4 * settings.hidden_size,
        max_position_embeddings=settings.context,
        initializer_range=settings.initializer_range,
        bos_token_id=tokenizer.eos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        use_cache=True,
    )
    return GPTNeoXForCausalLM(config)


@dataclass
class PretrainingRun:
    """A pretraining run: the loop, its checkpoints and its metrics."""

    settings: Scratch
    model: "PreTrainedModel"
    data: "np.ndarray[Any, Any]"
    """(rows, context + 1) token ids."""
    folder: Path
    log: MetricsLog

    def train(self, stop: checkpoints.StopRequest) -> None:
        """Runs the remaining optimizer steps."""
        import torch

        from trustdag.models.cpu import use_onednn

        settings = self.settings
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model.to(self.device).train()
        use_onednn(self.model)
        self.optimizer = build_adamw(
            self.model,
            learning_rate=settings.learning_rate,
            betas=settings.betas,
            weight_decay=settings.weight_decay,
        )
        first = self._resume()
        self.guard = DivergenceGuard("base", settings.steps, self.log.path)
        losses: list[torch.Tensor] = []
        since = time.perf_counter()
        for step in range(first, settings.steps):
            for group in self.optimizer.param_groups:
                group["lr"] = learning_rate(step, settings)
            loss, norm = self._step(step)
            losses.append(loss)
            done = step + 1
            saving = done % settings.checkpoint_every == 0 or bool(stop)
            if done % settings.log_every == 0 or done == settings.steps or saving:
                seconds = time.perf_counter() - since
                self._log(done, torch.stack(losses).mean().item(), norm.item(), len(losses) / seconds)
                losses, since = [], time.perf_counter()
            if saving:
                self._save(done)
            if stop:
                stop.leave(done)

    def _step(self, step: int) -> "tuple[torch.Tensor, torch.Tensor]":
        import torch

        rows = torch.from_numpy(self.data[self._rows(step)].astype(np.int64)).to(self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            loss = self._loss(rows)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.max_grad_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return loss.detach(), norm

    def _loss(self, rows: "torch.Tensor") -> "torch.Tensor":
        """The mean cross-entropy of rows (b, context + 1), a scalar."""
        from trustdag.models.logprobs import OutputLayer, log_probability, read_logits, vocabulary_of

        model = self.model
        states = model.base_model(input_ids=rows[:, :-1], use_cache=False).last_hidden_state.flatten(0, 1)
        logits_of = partial(OutputLayer.of(model.config).logits, model)
        (logprobs,) = read_logits(logits_of, vocabulary_of(model), states, rows[:, 1:].flatten(), log_probability)
        return -logprobs.mean()

    def _rows(self, step: int) -> "np.ndarray[Any, Any]":
        """The rows of a step. Each epoch is one shuffle, so the position in the data depends on the step alone."""
        per_epoch = len(self.data) // self.settings.batch_size
        epoch, batch = divmod(step, per_epoch)
        order = np.random.default_rng([self.settings.seed, epoch]).permutation(len(self.data))
        return order[batch * self.settings.batch_size : (batch + 1) * self.settings.batch_size]

    def _log(self, step: int, loss: float, norm: float, steps_per_second: float) -> None:
        values = {
            "loss": loss,
            "grad_norm": norm,
            "learning_rate": learning_rate(step - 1, self.settings),
            "tokens_per_second": steps_per_second * self.settings.batch_size * self.settings.context,
        }
        self.log.write(step, "train", values)
        self.guard.check(step, values)

    def validate(self, rows: "np.ndarray[Any, Any]") -> float:
        """The mean cross-entropy on held-out rows, logged as the last validation line."""
        import torch

        self.model.eval()
        total = 0.0
        with torch.inference_mode():
            for batch in np.array_split(rows, math.ceil(len(rows) / self.settings.batch_size)):
                ids = torch.from_numpy(batch.astype(np.int64)).to(self.device)
                total += self._loss(ids).item() * len(batch)
        loss = total / len(rows)
        self.log.write(self.settings.steps, "validation", {"loss": loss})
        return loss

    def _save(self, step: int) -> None:
        import torch
        from safetensors.torch import save_model

        with checkpoints.writing(self.folder, step) as partial:
            save_model(self.model, str(partial / "model.safetensors"))
            torch.save(self.optimizer.state_dict(), partial / "optimizer.pt")

    def _resume(self) -> int:
        """Loads the newest checkpoint. Returns the number of steps that are done."""
        import torch
        from safetensors.torch import load_model

        checkpoint = checkpoints.latest(self.folder)
        done = checkpoints.step_of(checkpoint) if checkpoint else 0
        self.log.restore(checkpoint, done)
        if checkpoint is None:
            return done
        load_model(self.model, str(checkpoint / "model.safetensors"), device=str(self.device))
        state = torch.load(checkpoint / "optimizer.pt", map_location=self.device, weights_only=True)
        self.optimizer.load_state_dict(state)
        return done


def learning_rate(step: int, settings: Scratch) -> float:
    """The rate of a step (from 0): linear warm-up, then cosine decay to a tenth of the peak."""
    schedule = LearningRateSchedule(settings.steps, settings.warmup * settings.steps, "cosine", floor=0.1)
    return schedule.rate(step, settings.learning_rate)


def _split(texts: list[str], settings: Scratch) -> tuple[list[str], list[str]]:
    order = np.random.default_rng([settings.seed, 1]).permutation(len(texts))
    held_out = max(1, round(settings.validation_share * len(texts)))
    if held_out >= len(texts):
        raise UserError(f"corpus: {len(texts)} texts are too few to hold one out for validation")
    return [texts[index] for index in order[held_out:]], [texts[index] for index in order[:held_out]]


def _tokenizer(texts: list[str], settings: Scratch, folder: Path) -> "PreTrainedTokenizerBase":
    """The tokenizer. It is trained once; a resumed run loads it."""
    if not whole(folder / "tokenizer", "it is trained again"):
        with atomic_folder(folder / "tokenizer") as partial:
            train_tokenizer(texts, settings.vocabulary, settings.context).save_pretrained(str(partial))
            seal(partial)
    return load_tokenizer(folder / "tokenizer")


def _missing(corpus: Path) -> str:
    raise UserError(f"{corpus}: no such corpus")
