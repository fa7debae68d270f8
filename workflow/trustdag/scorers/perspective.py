"""Google's Perspective: the scorer of the papers, available until the service ends on 31 December 2026."""

import datetime
import http.client
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from trustdag.artifacts import append_jsonl, sha256_text
from trustdag.errors import UserError
from trustdag.jsonfiles import read_jsonl
from trustdag.scorers.base import Scorer, ScorerSection
from trustdag.settings import MOST, Count, Positive

ENDS = datetime.date(2026, 12, 31)
KEY = "PERSPECTIVE_API_KEY"
ADDRESS = "https://commentanalyzer.googleapis.com/v1alpha1/comments:analyze"
RETRIED = (429, 500, 502, 503, 504)
"""HTTP status codes after which another attempt can succeed."""

Post = Callable[[dict[str, Any]], dict[str, Any]]
"""Sends one request and returns the answer. Raises Refused."""


class Refused(Exception):  # noqa: N818 - an answer of the service, not a failure of the program
    """The service returned no score. `status` is the HTTP status, or 0 without an answer."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(f"status {status}: {why}")
        self.status = status


class Perspective(ScorerSection):
    """Google's Perspective, a remote service that sees every text and ends on 31 December 2026."""

    name: Literal["perspective"] = "perspective"
    """The papers' scorer; its key is read from the environment variable PERSPECTIVE_API_KEY."""
    attribute: str = "TOXICITY"
    """Attribute to request."""
    requests_per_second: Positive = 1.0
    """Rate limit of the key."""
    attempts: Count = 6
    """Attempts for each text. The wait between two attempts doubles each time."""
    cache: str = "results/.cache/perspective.jsonl"
    """File in which every score is stored, so that no text is sent twice."""
    window: int | None = Field(None, ge=2, le=MOST)
    """Words of a window; None, the default here: the scorer reads the whole text."""

    def load(self) -> Scorer:
        """The scorer. Raises UserError without a key, and after the service's end."""
        if datetime.date.today() > ENDS:
            raise UserError(
                "scorers: perspective: the service ended on 31 December 2026; use `name: profanity` (local, no "
                "download) or `name: classifier` with a model of the hub"
            )
        key = os.environ.get(KEY)
        if not key:
            raise UserError(f"scorers: perspective needs a key in the environment variable {KEY}")
        return PerspectiveScorer(self, lambda body: _post(body, key))


Settings = Perspective


class PerspectiveScorer(Scorer):
    """Requests scores from the service within its rate limit, once a text. The score of a text without one is None."""

    name = "perspective"
    remote = True

    def __init__(self, settings: Perspective, post: Post, sleep: Callable[[float], None] = time.sleep) -> None:
        self.settings, self._post, self._sleep = settings, post, sleep
        self.version = f"{ADDRESS.split('/')[3]} {settings.attribute}"
        self.digest = sha256_text([ADDRESS, settings.attribute])
        self._cache = Path(settings.cache)
        shape = {"text": str, "attribute": str, "score": (int, float, type(None))}
        kept = read_jsonl(self._cache, shape, "delete the line") if self._cache.exists() else []
        self._known = {line["text"]: line["score"] for line in kept if line["attribute"] == settings.attribute}
        self._next = 0.0

    def score(self, texts: Sequence[str]) -> list[float | None]:
        """Each text's score; None for a text that the service did not score.

        Raises UserError at once if the service refuses the key.
        """
        return [self._one(text) for text in texts]

    def _one(self, text: str) -> float | None:
        name = sha256_text([text])
        if name in self._known:
            return self._known[name]
        for attempt in range(self.settings.attempts):
            try:
                self._wait()
                score = _score_in(self._post(self._body(text)), self.settings.attribute)
            except Refused as refused:
                if refused.status in (401, 403):
                    raise UserError(f"scorers: perspective refused the key in {KEY} ({refused})") from None
                if refused.status not in (0, *RETRIED):
                    return None
                self._sleep(min(2.0**attempt, 60.0))
                continue
            self._known[name] = score
            append_jsonl(self._cache, {"text": name, "attribute": self.settings.attribute, "score": score})
            return score
        return None

    def _wait(self) -> None:
        now = time.monotonic()
        if now < self._next:
            self._sleep(self._next - now)
        self._next = max(now, self._next) + 1 / self.settings.requests_per_second

    def _body(self, text: str) -> dict[str, Any]:
        return {
            "comment": {"text": text},
            "languages": ["en"],
            "requestedAttributes": {self.settings.attribute: {}},
            "doNotStore": True,
        }


def _score_in(answer: dict[str, Any], attribute: str) -> float:
    """The score in an answer. Raises Refused for an answer without one between 0 and 1."""
    try:
        score = float(answer["attributeScores"][attribute]["summaryScore"]["value"])
    except (KeyError, TypeError, ValueError):
        raise Refused(422, "the answer holds no score") from None
    if not 0 <= score <= 1:
        raise Refused(422, f"the score {score} is not between 0 and 1")
    return score


def _post(body: dict[str, Any], key: str) -> dict[str, Any]:
    """Sends one request. The key is in a header, so that error messages and logs of proxies do not contain it."""
    headers = {"Content-Type": "application/json", "X-Goog-Api-Key": key}
    request = urllib.request.Request(ADDRESS, json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310
            return json.load(response)
    except urllib.error.HTTPError as error:
        raise Refused(error.code, error.reason) from None
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise Refused(0, type(error).__name__) from None
