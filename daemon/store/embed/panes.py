"""The embedding step between the record log and a pane: asked for when a pane is due, waited for up to a bound, taken in whole or not.

What a pane gets depends on its records and on whether the encoder answered: after a kill the same records are sampled again and give the
same vectors. Nothing of a pane is in the ledger before its commit, so no evidence counts twice.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from daemon.settings_encoder import SUFFIX
from daemon.store.embed.encoder import Job, Priority, State
from daemon.store.embed.texts import affordable, sample, sent, text_of
from retrain.types import Permanent, Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from daemon.settings import ModelSettings
    from daemon.store.embed.encoder import Encoder
    from daemon.store.embed.encoders import Encoders
    from daemon.store.pending import Buffer

AHEAD_N = 4
"""Panes of a model that are asked for at once: after an outage the encoder is kept busy without a pane waiting long for its turn."""
_PATIENCE_S = 600.0  # of a replay: more than loading and any request


class Told(StrEnum):
    """What became of a stored record's text: a closed set, also the metric's label."""

    EMBEDDED = "embedded"
    SAMPLED_OUT = "sampled_out"
    """Not among the pane's `most_n`, or those that a slow encoder can do."""
    NO_TEXT = "no_text"
    NO_VECTOR = "no_vector"
    """The encoder gave no finite one."""
    LATE = "late"
    """The pane waited as long as it may, or came after an outage with more than fits into memory."""
    UNAVAILABLE = "unavailable"
    """The encoder is down, or went down over this pane."""
    OVERLOAD = "overload"
    """Too much waits for the encoder."""


@dataclass(frozen=True, kw_only=True)
class Embedded:
    """A pane's texts of one column."""

    subject: str
    """"input.text.embedding"."""
    fingerprint: str
    """Of the encoder; empty without a vector."""
    vectors: Mapping[bytes, NDArray[np.float32]]
    """Key of a record -> its vector."""
    told: Counter[str]
    """`Told` -> records; their sum is all stored ones."""


@dataclass(kw_only=True, slots=True)
class _Asked:
    """One column of one pane."""

    subject: str
    encoder: Encoder
    keys: list[bytes]
    """Of the records in the sample that have a text."""
    missing_n: int
    """Records in the sample without one."""
    job: Job | None
    refused: Told | None
    """Why there is no job."""


class Embeddings:
    """Used by the ticking thread only. `salt`: of the choice of records; `is_patient` (a replay): waits; a failing encoder is an error."""

    def __init__(
        self,
        models: Sequence[ModelSettings],
        encoders: Encoders,
        *,
        salt: bytes,
        is_patient: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._models = {model.name: model for model in models if model.encoders()}
        self._encoders, self._salt, self._is_patient, self._clock = encoders, salt, is_patient, clock
        self._signs_n: dict[str, int] = {}  # subject of a pane that was late -> its encoder's signs of life by then
        self._asked: dict[tuple[str, int], tuple[float, list[_Asked]]] = {}

    def of(self, model: str, index: int, buffers: Sequence[Buffer], *, may_wait: bool) -> tuple[Embedded, ...] | None:
        """All columns of a pane that is about to be closed; None: not yet, ask again at the next tick.

        The first call asks; later ones only look. `may_wait` False: what is not there by now is late.
        """
        if model not in self._models:
            return ()
        self.ask(model, index, buffers)
        since, asked = self._asked[model, index]
        if self._is_patient:
            self._wait(asked)
        waited_s = self._clock() - since
        if may_wait and any(self._is_waiting(one, waited_s) for one in asked):
            return None
        del self._asked[model, index]
        n = sum(len(buffer.keys) for buffer in buffers)
        found = tuple(_taken(one, n) for one in asked)
        for one, taken in zip(asked, found, strict=True):
            if taken.told[Told.LATE.value]:
                self._signs_n[one.subject] = one.encoder.signs_n
        return found

    def ask(self, model: str, index: int, buffers: Sequence[Buffer]) -> None:
        """Send the pane's sample to the encoders, unless that was done or enough of the model's panes are on their way."""
        if model not in self._models or (model, index) in self._asked:
            return
        found = [self._ask(model, subject, buffers) for subject in self._models[model].encoders()]
        self._asked[model, index] = (self._clock(), found)

    def has_room(self, model: str) -> bool:
        """Whether one more pane may be asked for ahead of its turn."""
        return model in self._models and not self._is_patient and sum(name == model for name, _ in self._asked) < AHEAD_N

    def forget(self) -> None:
        """Memory is read again from the spool: what was asked for is asked for anew."""
        for _, asked in self._asked.values():
            for one in asked:
                _cancel(one)
        self._asked.clear()

    def _ask(self, model: str, subject: str, buffers: Sequence[Buffer]) -> _Asked:
        encoder, pane_s = self._encoders.of[model, subject], self._models[model].monitors.pane_s
        wanted, speed = encoder.settings, 0.0 if self._is_patient else encoder.texts_per_s
        most_n = affordable(wanted.most_n, texts_per_s=speed, pane_s=pane_s, columns_n=encoder.columns_n)
        found = [(key, text_of(record, subject.removesuffix(SUFFIX))) for key, record in sample(buffers, most_n, self._salt)]
        keys, texts = [key for key, text in found if text is not None], [text for _, text in found if text is not None]
        job, refused = None, None
        if encoder.state is State.DOWN and not self._is_patient:
            refused = Told.UNAVAILABLE
        elif keys:
            job = encoder.submit(sent(texts, wanted.max_tokens), Priority.PANE)
            refused = None if job is not None else Told.OVERLOAD
        return _Asked(subject=subject, encoder=encoder, keys=keys, missing_n=len(found) - len(keys), job=job, refused=refused)

    def _is_waiting(self, one: _Asked, waited_s: float) -> bool:
        """Not for an encoder that has given no sign of life since a pane was late: one that hangs holds up a model once."""
        if one.job is None or one.job.done.is_set() or self._signs_n.get(one.subject) == one.encoder.signs_n:
            return False
        return waited_s < one.encoder.settings.wait_s and one.encoder.state is not State.DOWN

    def _wait(self, asked: Sequence[_Asked]) -> None:
        for one in asked:
            if one.refused is not None or (one.job is not None and not one.job.done.wait(_PATIENCE_S)):
                raise Permanent(Reason.TIMEOUT, f"{one.subject}: the encoder {one.encoder.settings.model} does not keep up")
            if one.job is not None and one.job.failed:
                raise Permanent(Reason.CRASHED, f"{one.subject}: {one.job.failed}")


def _taken(one: _Asked, n: int) -> Embedded:
    """What came of it; n: stored records of the pane."""
    told = Counter({Told.NO_TEXT.value: one.missing_n, Told.SAMPLED_OUT.value: n - one.missing_n - len(one.keys)})
    job, hello = one.job, one.encoder.hello
    if job is not None and job.vectors is not None and hello is not None:
        there = np.isfinite(job.vectors.sum(axis=1)).tolist()  # (n,)
        vectors = {key: row for key, row, is_there in zip(one.keys, job.vectors, there, strict=True) if is_there}
        told += Counter({Told.EMBEDDED.value: len(vectors), Told.NO_VECTOR.value: len(one.keys) - len(vectors)})
        return Embedded(subject=one.subject, fingerprint=hello.fingerprint, vectors=vectors, told=told)
    _cancel(one)
    is_down = job is not None and (bool(job.failed) or one.encoder.state is State.DOWN)
    told += Counter({(one.refused or (Told.UNAVAILABLE if is_down else Told.LATE)).value: len(one.keys)})
    return Embedded(subject=one.subject, fingerprint="", vectors={}, told=told)


def _cancel(one: _Asked) -> None:
    if one.job is not None:
        one.job.is_cancelled = True
