"""The reference's texts as vectors: made once by the same encoder, kept beside the reference, known by what they were made of."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import structlog

from daemon.store.embed.encoder import ATTEMPTS_N, REQUEST_N, Job, Priority, State
from daemon.store.embed.texts import sent
from detectors.thinning import drawn_rows
from detectors.types import digest_of
from retrain.types import Permanent, Reason
from retrain.whole import whole

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import Any

    from numpy.typing import NDArray

    from daemon.store.embed.encoder import Encoder
    from daemon.store.embed.encoders import Encoders

    Vectors = NDArray[np.float32]

log = structlog.get_logger()

MOST_N, MOST_BY_HOUR_N = 2048, 16_384
"""Texts of a reference that are embedded, drawn: as many as the detectors learn from and hold back; with a rhythm they hold back as
many for every hour."""
_AHEAD_N = 16  # they wait behind panes, so they are in nobody's way
_PATIENCE_S = 600.0


@dataclass(frozen=True, kw_only=True, eq=False)
class EmbeddedReference:
    """Vectors of a reference."""

    vectors: Vectors
    """Shape (n, d); a row of NaN = the encoder gave none."""
    fingerprint: str
    """Of the encoder."""
    rows: NDArray[np.int64]
    """Which of the reference's rows they are of, shape (n,)."""


@dataclass(kw_only=True)
class _Work:
    """A reference while it is being embedded, `REQUEST_N` texts at once."""

    texts: list[str]
    rows: NDArray[np.int64]
    """Which of the reference's rows they are."""
    digest: str
    """Of the texts."""
    first: Job | None = None
    """Without a text: the encoder is started, and says what it is."""
    jobs: dict[int, Job] = field(default_factory=dict)
    parts: dict[int, Vectors] = field(default_factory=dict)
    made: EmbeddedReference | None = None

    @property
    def parts_n(self) -> int:
        return -(-len(self.texts) // REQUEST_N)


class References:
    """Used by the ticking thread only. `is_patient`: waits, and an encoder that fails is an error (a replay)."""

    def __init__(self, encoders: Encoders, data_dir: Path, *, is_patient: bool = False) -> None:
        self._encoders, self._data_dir, self._is_patient = encoders, data_dir, is_patient
        self._work: dict[tuple[str, str], _Work] = {}

    def of(self, model: str, subject: str, texts: Sequence[str | None], most_n: int = MOST_N) -> EmbeddedReference | str:
        """Vectors of at most `most_n` of a reference's texts (None = missing, left out), or a sentence on why there are none yet."""
        there = np.array([i for i, text in enumerate(texts) if text is not None], dtype=np.int64)
        rows = there[drawn_rows(len(there), most_n)]
        kept = [text for i in rows.tolist() if (text := texts[i]) is not None]
        digest = digest_of(*(text.encode("utf-8", "replace") for text in kept))
        work = self._work.get((model, subject))
        if work is None or work.digest != digest:
            work = self._work[model, subject] = _Work(texts=kept, rows=rows, digest=digest)
        encoder = self._encoders.of[model, subject]
        said = self._go_on(model, work, encoder)
        while self._is_patient and work.made is None:
            waits = next((job for job in (work.first, *work.jobs.values()) if job is not None and not job.done.is_set()), None)
            is_late = waits is not None and not waits.done.wait(_PATIENCE_S)
            is_down = encoder.state is State.DOWN or (waits is not None and bool(waits.failed) and waits.attempts < ATTEMPTS_N)
            if is_late or is_down:
                raise Permanent(Reason.NOT_FOUND, f"{subject}: {encoder.because or 'the encoder does not answer'}")
            said = self._go_on(model, work, encoder)
        return work.made or said

    def _go_on(self, model: str, work: _Work, encoder: Encoder) -> str:
        """A step: what is there is taken, what is missing is asked for."""
        if work.made is not None:
            return ""
        if encoder.hello is None:
            if (work.first is None or work.first.failed) and encoder.state is not State.DOWN:
                work.first = encoder.submit([], Priority.REFERENCE)
            return f"its encoder is {encoder.state}{': ' + encoder.because if encoder.because else ''}"
        path = self._path(model, work, encoder.hello.fingerprint)
        vectors = _load(path, len(work.texts), encoder.hello.dimensions) if not work.parts else None
        if vectors is None:
            self._take(work, encoder)
            if len(work.parts) < work.parts_n:
                n = sum(map(len, work.parts.values()))
                return f"{n} of {len(work.texts)} reference texts are embedded; its encoder is {encoder.state}"
            vectors = np.concatenate([work.parts[i] for i in sorted(work.parts)] or [np.empty((0, encoder.hello.dimensions), np.float32)])
            _save(path, vectors)
        work.made = EmbeddedReference(vectors=vectors, fingerprint=encoder.hello.fingerprint, rows=work.rows)
        log.info("reference.embedded", model=model, n=len(vectors), fingerprint=work.made.fingerprint)
        return ""

    def _take(self, work: _Work, encoder: Encoder) -> None:
        assert encoder.hello is not None
        for i, job in list(work.jobs.items()):
            if not job.done.is_set():
                continue
            del work.jobs[i]
            if job.vectors is not None:
                work.parts[i] = job.vectors
                continue
            if job.attempts >= ATTEMPTS_N:  # these texts end every process that gets them
                work.parts[i] = np.full((len(job.texts), encoder.hello.dimensions), np.nan, dtype=np.float32)
        if encoder.state is State.DOWN:
            return
        for i in range(work.parts_n):
            if len(work.jobs) >= _AHEAD_N:
                return
            if i not in work.jobs and i not in work.parts:
                part = sent(work.texts[i * REQUEST_N : (i + 1) * REQUEST_N], encoder.settings.max_tokens)
                asked = encoder.submit(part, Priority.REFERENCE)
                if asked is None:
                    return
                work.jobs[i] = asked

    def _path(self, model: str, work: _Work, fingerprint: str) -> Path:
        return self._data_dir / "references" / model / f"embedded-{digest_of(work.digest, fingerprint)}.npz"


def _save(path: Path, vectors: Vectors) -> None:
    """Without room on the disk it is made again after a restart."""
    try:
        with whole(path) as out:
            np.savez(out, vectors=vectors)
    except OSError as e:
        log.warning("reference.not_kept", path=path.name, because=str(e))


def _load(path: Path, n: int, dimensions: int) -> Vectors | None:
    """What was kept; None when nothing fits, and then it is made anew."""
    try:
        with np.load(path, allow_pickle=False) as found:
            vectors: NDArray[Any] = found["vectors"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as e:
        log.warning("reference.not_read", path=path.name, because=f"{type(e).__name__}: {e}"[:200])
        return None
    return vectors if vectors.shape == (n, dimensions) and vectors.dtype == np.float32 else None
