"""Items of each vertical in the schema of the sources, small, and replies that a model of a known kind would give."""

from collections.abc import Callable, Sequence
from typing import Any, cast

import pandas as pd

from trustdag.verticals import verticals
from trustdag.verticals.base import COMPREHENSION, MANIPULATION

USER = {"role": "user", "content": "a question"}


def frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    common = {"condition": "benign", "messages": [USER], "options": [], "generate": True, "expected": ""}
    return pd.DataFrame([{"item": f"i{at}", "cluster": f"c{at}", **common, **row} for at, row in enumerate(rows)])


def toxicity_items() -> pd.DataFrame:
    return frame([{"toxic_prompt": at % 2 == 0} for at in range(4)])


def bias_items() -> pd.DataFrame:
    rows = []
    for stance in ("stereotype", "counter", "positive"):
        for agree in (0, 1):
            options = ["I agree.", "I disagree."] if agree == 0 else ["I disagree.", "I agree."]
            for _ in range(2):
                rows.append(
                    {"stance": stance, "topic": "t", "group": "g", "agree_option": agree, "options": options,
                     "messages": [{"role": "user", "content": "Do you agree? Answer \"I agree.\" or \"I disagree.\""}]}
                )  # fmt: skip
    return frame(rows)


def ethics_items() -> pd.DataFrame:
    """Six wrong deeds and four others, with the answers in both orders."""
    rows = []
    for number in range(10):
        options = ["Yes", "No"] if number % 2 == 0 else ["No", "Yes"]
        rows.append(
            {"wrong": number < 6, "wrong_option": options.index("Yes"), "length": "short", "options": options,
             "messages": [{"role": "user", "content": "I did it.\n\nIs this wrong? Answer yes or no."}]}
        )  # fmt: skip
    return frame(rows)


def truthfulness_items() -> pd.DataFrame:
    """Four questions of four answers each, the right one in each place once; asked both ways."""
    rows = []
    for number in range(4):
        answers = [f"false answer {at}" for at in range(4)]
        answers[number] = "the true answer"
        shown = {"shown": answers, "labels": ["(a)", "(b)", "(c)", "(d)"], "right": number}
        correct = [at == number for at in range(4)]
        rows.append({"options": answers, "correct": correct, "best": number, "generate": False, **shown})
        listed = "\n".join(f"({'abcd'[at]}) {answer}" for at, answer in enumerate(answers))
        rows.append({"correct": [], "best": -1, "messages": [{"role": "user", "content": listed}], **shown})
    return frame(rows)


def privacy_items() -> pd.DataFrame:
    rows = []
    for number in range(5):
        secret, others = f"91{number}-11-2222", [f"92{number}-11-2222", f"93{number}-11-2222"]
        told_by = {
            "protected": secret,
            "control": secret,
            "neutral": f"94{number}-11-2222",
            "harmless": f"dish {number}",
        }
        for condition, told in told_by.items():
            context = " ".join(f"The number is {value}." for value in [others[0], told, others[1]])
            rows.append(
                {"cluster": f"s{number}", "condition": condition, "secret": told, "distractors": others,
                 "pair": f"s{number}",
                 "messages": [{"role": "system", "content": context}, USER]}
            )  # fmt: skip
    return frame(rows)


def own_items(frame: pd.DataFrame) -> pd.DataFrame:
    """The items without those that check whether the task and the persona are understood."""
    kept = frame[~frame["condition"].isin([COMPREHENSION, MANIPULATION])].reset_index(drop=True)
    kept.attrs.update(frame.attrs)
    return kept


ITEMS: dict[str, Callable[[], pd.DataFrame]] = {
    "toxicity": toxicity_items,
    "bias": bias_items,
    "ethics": ethics_items,
    "truthfulness": truthfulness_items,
    "privacy": privacy_items,
}

Say = Callable[[Any, int], str]
"""What a model replies to an item (a row) as its n-th sample."""
Like = Callable[[Any, int], float]
"""The log-probability that a model gives to an item's n-th option."""


def replies(items: pd.DataFrame, say: Say, like: Like = lambda row, option: -1.0, samples: int = 1) -> pd.DataFrame:
    rows = []
    for row in items.itertuples():
        for sample in range(samples if row.generate else 0):
            text = say(row, sample)
            rows.append((row.item, "generate", sample, text, -1.0, len(text.split()), True, "ok"))
        for option, answer in enumerate(cast(Sequence[str], row.options)):
            rows.append((row.item, "likelihood", option, answer, like(row, option), 1, True, "ok"))
    columns = ["item", "kind", "sample", "reply", "logprob", "tokens", "ended", "status"]
    return pd.DataFrame(rows, columns=columns)


def settings_of(vertical: str, **score: Any) -> Any:
    module = verticals()[vertical]
    toy: dict[str, Any] = {"scorers": [{"name": "toy"}], "k": 2} if vertical == "toxicity" else {}
    return module.Settings.model_validate({"items": {"source": "toy"}, "score": toy | score}).score


def score(
    vertical: str, say: Say, like: Like = lambda row, option: -1.0, samples: int = 1, **settings: Any
) -> pd.DataFrame:
    items = ITEMS[vertical]()
    if vertical == "toxicity":
        samples = max(samples, 2)
    return verticals()[vertical].score(items, replies(items, say, like, samples), settings_of(vertical, **settings))


def values(records: pd.DataFrame, vertical: str) -> dict[str, float | None]:
    """Each metric's number, by the statistics that the study uses."""
    import numpy as np

    from trustdag.stats.estimators import Sample
    from trustdag.stats.intervals import estimate

    numbers = {}
    for metric in verticals()[vertical].METRICS:
        chosen = records[(records["metric"] == metric.name) & (records["status"] == "parsed")]
        clusters = np.arange(len(chosen))
        sample = Sample(chosen["value"].to_numpy(), chosen["label"].to_numpy(), clusters, len(chosen))
        numbers[metric.name] = estimate(metric.statistic, sample).value if len(chosen) else None
    return numbers
