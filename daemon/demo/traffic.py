"""The driver: asks the model server, posts what was asked and answered to the service, and brings a part of the labels later.

HTTP is all it shares with the service. It knows every label; the service gets `labelled_ratio` of them, by record id. What it keeps of
each record (`Sent`) is what the demo's own figures are computed from.
"""

from __future__ import annotations

import hashlib
import heapq
import json
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import httpx

from retrain.types import Permanent, Reason, Transient

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_ATTEMPTS = 5
_SERVER_ERROR = 500
_SOURCE = "people"


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """One input that traffic will bring, with the label that only the driver knows yet."""

    id: str
    text: str
    label: str
    segments: dict[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Sent:
    """One record that the service acknowledged."""

    id: str
    phase: str
    """before | after | promoted."""
    at: float
    """Seconds since the epoch."""
    label: str
    predicted: str
    version: str
    is_labelled: bool
    """True: the service gets the label, and a training may see it."""


def read_questions(path: Path) -> list[Question]:
    """Questions of an NDJSON file written by `retrain.demo.first`."""
    lines = path.read_text(encoding="utf-8").split("\n")
    return [Question(**json.loads(line)) for line in lines if line]


@dataclass(kw_only=True)
class Driver:
    """Traffic of one model. Not thread-safe; `now` is an argument everywhere but in the pauses between attempts."""

    model: str
    service: httpx.Client
    server: httpx.Client
    labelled_ratio: float = 0.6
    label_delay_s: float = 2.0
    """Mean; a label comes after half to one and a half of it."""
    seed: int = 0
    sent: list[Sent] = field(default_factory=list)
    n_labels: int = 0
    """Labels that the service acknowledged."""
    _waiting: list[tuple[float, str, str]] = field(default_factory=list)  # (due, id, label), a heap

    def send(self, questions: Sequence[Question], phase: str, now: float) -> None:
        """One batch: asked, answered, posted. `Transient` when a server stayed away, `Permanent` when it refuses."""
        if not questions:
            return
        answered = self._post(self.server, "/predict", json.dumps({"texts": [q.text for q in questions]}).encode())
        version = str(answered["version"])
        pairs = list(zip(questions, answered["answers"], strict=True))
        self._accepted("/v1/records", [self._record(q, a, version, now) for q, a in pairs])
        for question, answer in pairs:
            is_labelled = self._draw("labelled", question.id) < self.labelled_ratio
            if is_labelled:
                due = now + self.label_delay_s * (0.5 + self._draw("delay", question.id))
                heapq.heappush(self._waiting, (due, question.id, question.label))
            self.sent.append(
                Sent(
                    id=question.id,
                    phase=phase,
                    at=now,
                    label=question.label,
                    predicted=answer["label"],
                    version=version,
                    is_labelled=is_labelled,
                )
            )

    def deliver(self, now: float) -> int:
        """Post the labels that are due; returns how many still wait."""
        due = []
        while self._waiting and self._waiting[0][0] <= now:
            due.append(heapq.heappop(self._waiting))
        if due:
            at = _iso(now)
            self._accepted(
                "/v1/labels", [{"id": key, "model": self.model, "at": at, "label": label, "source": _SOURCE} for _, key, label in due]
            )
            self.n_labels += len(due)
        return len(self._waiting)

    def close(self) -> None:
        """Give back the connections to both servers."""
        self.server.close()
        self.service.close()

    def _record(self, question: Question, answer: dict[str, Any], version: str, now: float) -> dict[str, Any]:
        return {
            "id": question.id,
            "model": self.model,
            "version": version,
            "at": _iso(now),
            "inputs": {"text": question.text},
            "output": {"label": answer["label"], "scores": answer["scores"]},
            "segments": question.segments,
        }

    def _accepted(self, path: str, items: list[dict[str, Any]]) -> None:
        answer = self._post(self.service, path, "\n".join(json.dumps(item) for item in items).encode(), "application/x-ndjson")
        if answer.get("rejected") or answer.get("errors"):
            raise Permanent(Reason.REFUSED, f"{path}: {json.dumps(answer)[:300]}")

    def _post(self, client: httpx.Client, path: str, body: bytes, kind: str = "application/json") -> dict[str, Any]:
        """The answer's JSON. Ids make every post repeatable: a server that is away or full is asked again, `_ATTEMPTS` times."""
        trouble = ""
        for attempt in range(_ATTEMPTS):
            if attempt:
                time.sleep(0.2 * 2**attempt)
            try:
                answer = client.post(path, content=body, headers={"content-type": kind})
            except httpx.TransportError as e:
                trouble = f"{client.base_url}{path}: {e!r}"
                continue
            if answer.is_success:
                found: dict[str, Any] = answer.json()
                return found
            trouble = f"{client.base_url}{path} answers {answer.status_code}: {answer.text[:300]}"
            if answer.status_code < _SERVER_ERROR:
                raise Permanent(Reason.REFUSED, trouble)
        raise Transient(Reason.UNAVAILABLE, trouble)

    def _draw(self, what: str, key: str) -> float:
        """A number in [0, 1) that depends on seed, purpose and id alone."""
        digest = hashlib.blake2b(f"{self.seed}\n{what}\n{key}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") / 2**64


@dataclass(kw_only=True)
class Pace:
    """How many records are due: `rate` a second, never more than `most` at once (a slow server is not flooded)."""

    rate: float
    most: int = 32
    _owed: float = 0.0
    _at: float | None = None

    def due(self, now: float) -> int:
        """Records to send now. What a stall left over is forgotten, not caught up."""
        if self._at is not None:
            self._owed = min(self._owed + (now - self._at) * self.rate, float(self.most))
        self._at = now
        n = int(self._owed)
        self._owed -= n
        return n


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()
