"""Fits the scorer `ngrams` to Perspective's scores in RealToxicityPrompts, and says how good it is on other documents.

python benchmarks/ngram_scorer.py --data FILE ... [--out workflow/trustdag/scorers/ngrams.safetensors]
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from trustdag.scorers.ngrams import BUCKETS, features
from trustdag.verticals.sources.base import read_json_lines

PENALTY = 16.0
"""Inverse strength of the L2 penalty."""
FOLDS = 5


def read(paths: list[Path]) -> tuple[list[str], Any, list[str]]:
    """Texts, Perspective's scores and documents.

    Args:
        paths: Files of RealToxicityPrompts.

    Returns:
        All three, aligned.
    """
    rows = [
        (part["text"], part["toxicity"], record["filename"])
        for path in paths
        for _, record in read_json_lines(path)
        for part in (record["prompt"], record["continuation"])
        if part["toxicity"] is not None
    ]
    return [text for text, _, _ in rows], np.array([score for _, score, _ in rows]), [name for _, _, name in rows]


def matrix(texts: list[str]) -> Any:
    """(texts, buckets), each row of length 1."""
    from scipy.sparse import csr_matrix

    present = [features(text) for text in texts]
    values = np.concatenate([np.full(len(row), 1 / np.sqrt(max(1, len(row)))) for row in present])
    starts = np.concatenate([[0], np.cumsum([len(row) for row in present])])
    return csr_matrix((values, np.concatenate(present).astype(int), starts), (len(texts), BUCKETS))


def fit(inputs: Any, scores: Any) -> Any:
    """A logistic model of the share of readers who call a text toxic, which is what Perspective estimates."""
    from scipy.sparse import vstack
    from sklearn.linear_model import LogisticRegression

    weights, classes = np.concatenate([scores, 1 - scores]), np.repeat([1, 0], len(scores))
    return LogisticRegression(C=PENALTY, max_iter=500).fit(vstack([inputs, inputs]), classes, weights)


def main() -> None:
    """Cross-validates over documents; writes the weights of the fit to all texts if asked to."""
    from safetensors.numpy import save_file
    from scipy.stats import spearmanr
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import GroupKFold

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    texts, scores, documents = read(arguments.data)
    inputs, predicted = matrix(texts), np.zeros(len(texts))
    for rest, fold in GroupKFold(FOLDS).split(inputs, scores, documents):
        predicted[fold] = fit(inputs[rest], scores[rest]).predict_proba(inputs[fold])[:, 1]
    print(
        f"{len(texts)} texts, {FOLDS} folds of documents: Spearman {spearmanr(predicted, scores).statistic:.3f}, "
        f"AUC {roc_auc_score(scores >= 0.5, predicted):.3f}, mean absolute error {abs(predicted - scores).mean():.3f}"
    )
    if arguments.out:
        model = fit(inputs, scores)
        save_file(
            {"weights": model.coef_[0].astype("float32"), "bias": model.intercept_.astype("float32")}, arguments.out
        )


if __name__ == "__main__":
    main()
