"""What each column of a study's tables means. docs/python.md is generated from it."""

IDENTITY = {
    "policy": "the id of a model, see docs/architecture.md",
    "model": "name of the base model in the study",
    "preferences": "name of the preference set; empty for a base model",
    "recipe": "name of the recipe, such as `sft`",
    "seed": "training seed; missing for a base model",
}
METRIC = {
    "vertical": "name of the vertical",
    "metric": "name of the metric",
    "condition": "the items' condition, `all` for all of them, or `FACET=VALUE`",
    "headline": "whether the report's answer rests on this row",
    "direction": "which direction is better: `lower`, `higher`, or empty",
}
INTERVAL = {
    "low": "lower end of the interval",
    "high": "upper end of the interval",
    "standard_error": "standard error of the value or the difference",
    "population": "what a cluster is: the interval is over others that might have been drawn",
    "clusters": "number of clusters",
    "few_clusters": "whether they are fewer than 20",
    "labels": "number of a person's labels behind the number; 0 where it is as the parser reads it",
    "detectable": "the smallest change that would be found with the study's power",
}
TEST = {
    "p": "p-value of the difference",
    "p_holm": "the same, corrected within its family",
    "family": "number of tests that are corrected together",
    "verdict": "`rose`, `fell`, `no change found`, `not tested`; empty where there is no number",
    "judgement": "what a headline change says beside its companions, such as `better` or `answers less`; else empty",
}
MEANINGS: dict[str, dict[str, str]] = {
    "answer": {name: IDENTITY[name] for name in ("model", "preferences", "recipe")}
    | {name: METRIC[name] for name in ("vertical", "metric")}
    | {"change": "the change of the headline metric since the base model, over the training seeds"}
    | {name: INTERVAL[name] for name in ("low", "high")}
    | {
        "answer": "`better`, `worse`, `changed`, `no change found`, `not tested`, `not measured`, "
        "or a companion's verdict (docs/numbers.md)"
    },
    "metrics": IDENTITY
    | METRIC
    | {
        "n": "items asked",
        "parsed": "items with a number",
        "unparsed": "items whose replies could not be read",
        "conflicting": "items whose replies give answers that exclude each other",
        "refused": "items whose replies decline",
        "failed": "items without a reply or a number",
        "value": "the metric",
        "chance": "what guessing would score",
        "understood": "`yes`, or `did not understand the task`; empty where no obvious case was asked",
    }
    | INTERVAL,
    "differences": IDENTITY
    | METRIC
    | {
        "reference": "`base` or `sft`",
        "reference_policy": "the policy that this one is compared with",
        "n_pairs": "items that count for both",
        "lost": "items that were asked and do not count for both",
        "value": "the metric over those items",
        "reference_value": "the reference's metric over those items",
        "difference": "value less reference_value",
    }
    | INTERVAL
    | TEST,
    "seeds": {name: IDENTITY[name] for name in ("model", "preferences", "recipe")}
    | METRIC
    | {
        "reference": "`base` or `sft`; empty for a mean value",
        "seeds": "number of training seeds",
        "value": "mean over seeds of the value or the difference",
        "seed_deviation": "standard deviation over seeds",
    }
    | INTERVAL
    | TEST,
    "records": {"policy": IDENTITY["policy"], "vertical": METRIC["vertical"], "metric": METRIC["metric"]}
    | {
        "item": "id of the item",
        "cluster": "the cluster that the item belongs to",
        "condition": "the condition under which it was asked",
        "value": "the item's number; missing unless the status is `parsed`",
        "status": "`parsed`, `unparsed`, `conflicting`, `refused` or `failed`",
        "label": "the item's class or denominator, where the metric has one",
    },
    "replies": {"policy": IDENTITY["policy"], "vertical": METRIC["vertical"]}
    | {
        "item": "id of the item",
        "condition": "the condition under which it was asked",
        "prompt": "the messages to the model, as text",
        "kind": "`generate` for a sampled reply, `likelihood` for an option that was scored",
        "sample": "number of the sample or option",
        "reply": "the reply, or the option's text",
        "logprob": "summed log-probability of the tokens, in nats",
        "tokens": "number of tokens",
        "ended": "whether the model ended the reply itself",
        "status": "`ok`, or why there is no reply",
    },
    "curves": {
        "policy": "the id of the model, see docs/architecture.md",
        "method": "the training method; `base` for a base model",
    }
    | {"step": "optimizer steps, or PPO updates, that are done", "split": "`train` or `validation`"},
    "models": {
        "policy": "the id of the model, see docs/architecture.md",
        "method": "the training method, `base` or `given`",
    }
    | {
        "model": IDENTITY["model"],
        "preferences": IDENTITY["preferences"],
        "stage": "the last stage of its chain",
        "seed": IDENTITY["seed"],
        "prompt_format": "how it is prompted",
        "parameters": "number of parameters",
        "folder": "the folder that transformers loads",
        "manifest": "what made it: settings, data, models before it, packages",
    },
}
"""By table, the meaning of each column. Records hold facets beside these; curves hold a column for each number."""


def as_markdown() -> str:
    """All tables, as the block of docs/python.md."""
    parts = []
    for table, columns in MEANINGS.items():
        rows = [f"| `{name}` | {meaning} |" for name, meaning in columns.items()]
        parts.append("\n".join([f"### {table}", "", "| column | meaning |", "|---|---|", *rows]))
    return "\n\n".join(parts) + "\n"
