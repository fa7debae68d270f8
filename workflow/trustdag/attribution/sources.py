"""From the files of a study to the query of each vertical. Imports torch."""

import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch

from trustdag.artifacts import read_table, sha256_file
from trustdag.attribution import ppo
from trustdag.attribution.batches import PaddedBatch
from trustdag.attribution.objectives import reply_logprobs, rewards
from trustdag.attribution.queries import Query, VerticalReplies, build, follows_from_options, has_options
from trustdag.attribution.task import AttributionTask, VerticalTask
from trustdag.attribution.texts import VerticalQuery, check_log_probabilities, closed, encode_texts
from trustdag.errors import UserError
from trustdag.generation.settings import GenerateSettings
from trustdag.generation.tables import read_items, read_replies
from trustdag.layout import Results
from trustdag.models.tokens import end_of_reply
from trustdag.stamps import check, read_stamp
from trustdag.stats.records import metrics_of
from trustdag.verticals import settings_part, vertical
from trustdag.verticals.base import RECORD_COLUMNS, Metric

if TYPE_CHECKING:
    from trustdag.attribution.subject import Subject


class QuerySource:
    """The items, replies and records of an attributed policy."""

    def __init__(self, task: AttributionTask, files: Results) -> None:
        """Checks that the records exist; reads nothing yet.

        Raises:
            UserError: A vertical has no records.
        """
        self.task, self.files = task, files
        for name in task.verticals:
            path = Path(files.records(task.policy, name))
            if not path.is_file():
                raise UserError(f"{path}: no such file; {name} cannot be attributed without its records; run snakemake")

    def query(self, name: str, subject: "Subject") -> VerticalQuery:
        """The query of a vertical: its texts and weights.

        Args:
            name: The vertical.
            subject: The model whose training is attributed.
        """

        asked = self.task.verticals[name]
        if self.task.ppo is not None:
            query, encoded, items = self._through_reward(name, asked, subject)
        else:
            source = self.source(name, asked, self.task.policy)
            items, settings = source.items, asked.attribution
            query = build(source, settings.query, settings.groups, settings.seed)
            temperature = 1.0 if query.kind == "options" else float(asked.generate["temperature"]) or 1.0
            values = LogProbabilities(temperature)
            encoded = encode_texts(query, items, subject.tokenizer, self.task.prompt_format, values)
            stored = source.replies.set_index(["item", "kind", "sample"])["logprob"]
            where = self.files.replies(self.task.policy, name)
            check_log_probabilities(query, encoded, stored, subject.model, subject.pad, where)
        print(
            f"{name}: {query.metric} by {query.kind}, {len(query.texts)} texts, value {query.value:.4g}"
            f" (standard error {query.standard_error:.2g})",
            file=sys.stderr,
        )
        last = {row.item: row.messages[-1]["content"] for row in items.itertuples(index=False)}  # type: ignore[index]
        return VerticalQuery(query, encoded, asked.attribution, [last[item] for item in query.texts["item"]])

    def source(self, name: str, asked: VerticalTask, policy: str) -> VerticalReplies:
        """Items, replies and records of a policy and a vertical. Raises UserError for records of other replies.

        Args:
            name: The vertical.
            asked: Its settings.
            policy: The policy.
        """
        module = vertical(name)
        items = read_items(Path(self.files.items(name)), module.GOLD)
        path, records_path = Path(self.files.replies(policy, name)), Path(self.files.records(policy, name))
        check(records_path, read_stamp(records_path), {"replies": sha256_file(path)})
        settings = settings_part(module, "score").model_validate(asked.score).root
        reference = None
        if asked.reference is not None:
            reference = read_table(Path(self.files.records(asked.reference, name)), RECORD_COLUMNS, "records")
        return VerticalReplies(
            name,
            metric_of(name, asked.attribution.metric),
            items,
            read_replies(path),
            read_table(records_path, RECORD_COLUMNS, "records"),
            lambda replies: module.score(items, replies, settings),
            reference,
        )

    def _through_reward(self, name: str, asked: VerticalTask, subject: "Subject") -> tuple[Query, Any, pd.DataFrame]:
        """PPO's query: a covariance over replies sampled from the reference, as a function of the reward model."""
        assert self.task.ppo is not None, "only PPO's policies go through a reward model"
        reference, beta = self.task.ppo.reference, self.task.ppo.kl_coef
        if beta <= 0:
            raise UserError("attribution: ppo: kl_coef is 0; without a KL penalty there is no optimum to differentiate")
        start = self.source(name, asked, reference)
        query = self._reward_query(start, asked, beta)
        end = end_of_reply(subject.tokenizer, self.task.prompt_format)
        texts = encode_texts(query, start.items, subject.tokenizer, self.task.prompt_format, rewards)
        encoded = closed(texts, end)
        scores = torch.zeros(len(encoded.examples), dtype=torch.float64)
        with torch.no_grad():
            for batch in encoded.examples.blocks(32, subject.pad):
                scores[batch.examples] = rewards(subject.model, batch.to(subject.device)).double().cpu()
        clusters = start.items.set_index("item")["cluster"].to_dict()
        return ppo.with_covariance(query, scores.numpy(), clusters.__getitem__), encoded, start.items

    def _reward_query(self, start: VerticalReplies, asked: VerticalTask, beta: float) -> Query:
        """The query of a reward model: by replies sampled from the reference, or by options, as set in `query`."""
        wanted = asked.attribution
        fallback = wanted.query == "auto" and has_options(start)
        if wanted.query == "options" or (fallback and follows_from_options(start)):
            return ppo.options_query(start, beta, wanted.groups, wanted.seed)
        assert self.task.ppo is not None, "only PPO's policies go through a reward model"
        settings = GenerateSettings(**asked.generate)
        sampling = {"samples": wanted.samples, "temperature": settings.temperature or 1.0}
        folder = Path(self.files.model(self.task.ppo.reference, "model"))
        replies = draw(start.items, folder, settings.model_copy(update=sampling), self.task.prompt_format)
        several = replace(start, replies=replies)
        query = ppo.covariance_query(several, beta, wanted.groups, wanted.seed)
        if query.texts.empty and fallback:
            return ppo.options_query(start, beta, wanted.groups, wanted.seed)
        if query.texts.empty:
            raise ppo.no_covariance(start, wanted.samples)
        return query


class LogProbabilities:
    """The log-probability of each text under the sampling distribution of a temperature."""

    def __init__(self, temperature: float) -> None:
        self.temperature = temperature

    def __call__(self, model: Any, batch: PaddedBatch) -> torch.Tensor:
        """(examples,)."""
        return reply_logprobs(model, batch, temperature=self.temperature)


def metric_of(name: str, wanted: str | None) -> Metric:
    """The attributed metric: the one of that name, or the headline. Raises UserError for an unknown name."""
    metrics = metrics_of(name)
    if wanted is None:
        return next(metric for metric in metrics.values() if metric.headline)
    if wanted not in metrics:
        raise UserError(f"attribution.{name}.metric: no metric `{wanted}`; there are {', '.join(metrics)}")
    return metrics[wanted]


def draw(items: pd.DataFrame, folder: Path, settings: GenerateSettings, prompt_format: Any) -> pd.DataFrame:
    """Several replies of a model to each item.

    Args:
        items: The items.
        folder: The model folder.
        settings: How replies are sampled, and how many.
        prompt_format: How the model is asked.
    """
    from trustdag.generation.engine import Engine
    from trustdag.models.load import load_policy, load_tokenizer

    device = "cuda" if torch.cuda.is_available() else "cpu"
    engine = Engine(load_policy(folder).to(device).eval(), load_tokenizer(folder), prompt_format, settings)
    with TemporaryDirectory() as scratch:
        return engine.generate(items, Path(scratch) / "partial.jsonl", "attribution", "replies of the reference")
