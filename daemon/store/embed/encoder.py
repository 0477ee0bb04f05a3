"""One encoder, looked after by a thread of its own: started when something is to be embedded, started again when it is lost.

The thread waits and sends; what asks never does. A job that took two processes with it is given up: it may be what kills them.
"""

from __future__ import annotations

import contextlib
import itertools
import queue
import threading
import time
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np
import structlog

from daemon.store.embed.process import EncoderProcess
from retrain.types import Permanent, Reason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from daemon.settings_encoder import EncoderSettings
    from retrain.encoder_wire import Answer, Hello

    Vectors = NDArray[np.float32]

log = structlog.get_logger()

IDLE_S = 900.0
"""Without a text for so long the process ends: it holds some 600 MB."""
REQUEST_N = 64
"""Texts of one request to the process."""
MOST_JOBS = 64
ATTEMPTS_N = 2
"""Processes that one job may take with it."""
_DOWN_AFTER_N = 4
_BACKOFF_S = (1.0, 5.0, 30.0, 120.0, 300.0)
_JOIN_S = 5.0
_FORGETTING = 0.3  # of the speed so far, at each answer


class State(StrEnum):
    """Of an encoder."""

    IDLE = "idle"
    """Nothing is to be embedded: no process."""
    STARTING = "starting"
    READY = "ready"
    DOWN = "down"
    """It could not be loaded, or is lost again and again: the next try comes later."""


class Priority(StrEnum):
    """Panes before references: a pane waits with everything that is in it."""

    PANE = "0"
    REFERENCE = "1"


@dataclass(eq=False, slots=True)
class Job:
    """Some texts, and what becomes of them."""

    texts: list[str]
    attempts: int = 0
    is_cancelled: bool = False
    """Nobody waits for it any more."""
    vectors: Vectors | None = None
    failed: str = ""
    """Why there are no vectors; empty = none yet, or there are."""
    done: threading.Event = field(default_factory=threading.Event)


class Encoder:
    """Thread-safe. Cost in the service: one thread that sleeps."""

    def __init__(self, settings: EncoderSettings) -> None:
        self.settings = settings
        self.columns_n = 1
        """Columns that share it."""
        self.hello: Hello | None = None
        """Of the first process that was ready; a later one must have the same fingerprint."""
        self.because = ""
        """Why it is down, or was last."""
        self.lost_n = 0
        """Processes that died, hung or could not be started."""
        self.signs_n = 0
        """Starts, answers and jobs taken up so far: signs of life."""
        self.rss_bytes = 0
        self.cpu_s = 0.0
        self.texts_per_s = 0.0
        self._process: EncoderProcess | None = None
        self._held: Job | None = None
        """Given to the process, or about to be."""
        self._failures = 0
        self._is_starting = self._is_down = False
        self._jobs: queue.PriorityQueue[tuple[str, int, Job]] = queue.PriorityQueue(MOST_JOBS)
        self._numbers = itertools.count()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def state(self) -> State:
        """Now."""
        process = self._process
        if process is not None and process.is_alive and not self._is_starting:
            return State.READY
        if self._is_down:
            return State.DOWN
        return State.STARTING if self._is_starting or self._failures else State.IDLE

    @property
    def pid(self) -> int | None:
        """Of the process, if there is one."""
        process = self._process
        return process.pid if process is not None and process.is_alive else None

    def submit(self, texts: Sequence[str], priority: Priority) -> Job | None:
        """To be embedded, with what is submitted before and no less urgent first; None: too much waits already.

        References leave half of the room to panes.
        """
        if priority is Priority.REFERENCE and self._jobs.qsize() >= MOST_JOBS // 2:
            return None
        job = Job(list(texts))
        try:
            self._jobs.put_nowait((priority, next(self._numbers), job))
        except queue.Full:
            return None
        if self._thread is None and not self._stop.is_set():
            self._thread = threading.Thread(target=self._run, name="encoder", daemon=True)
            self._thread.start()
        return job

    def close(self) -> None:
        """End thread and process; jobs that wait are given up."""
        self._stop.set()
        if self._thread is not None:
            with contextlib.suppress(queue.Full):  # a full queue wakes the thread as well
                self._jobs.put_nowait(("", next(self._numbers), Job([], is_cancelled=True)))
            process = self._process
            if process is not None:
                process.kill()
            self._thread.join(_JOIN_S)

    # -- the thread

    def _run(self) -> None:
        while not self._stop.is_set():
            if self._held is None and not self._failures:
                self._held = self._next(None)
            if self._stop.is_set():
                return
            try:
                self._start()
                self._serve(self._held or self._next(IDLE_S))
                self._failures = 0
            except Exception as e:  # noqa: BLE001 (the top of a supervised task: a pipe, a process and another's answer may fail in any way)
                self._lost(e)
            finally:
                self._end()
            if self._failures:
                self._stop.wait(_BACKOFF_S[min(self._failures, len(_BACKOFF_S)) - 1])

    def _start(self) -> None:
        self._is_starting = True
        self._process = EncoderProcess(self.settings)
        hello = self._process.hello()
        if hello.error:
            raise Permanent(Reason.BAD_DATA, hello.error)
        if self.hello is not None and self.hello.fingerprint != hello.fingerprint:
            because = f"{self.settings.model} is not the encoder that it was: restart the service to go over to it"
            raise Permanent(Reason.CONFLICT, because)
        self.texts_per_s = hello.texts_per_s
        self.hello = self.hello or hello
        self._is_starting = self._is_down = False
        self.signs_n += 1
        log.info("encoder.ready", encoder=self.settings.model, pid=self._process.pid, texts_per_s=round(hello.texts_per_s, 1))

    def _serve(self, job: Job | None) -> None:
        """Until nothing came for long, or the service ends."""
        while job is not None and not self._stop.is_set():
            self._held = job
            self._embed(job)
            self._held = None
            job = self._next(IDLE_S)

    def _embed(self, job: Job) -> None:
        assert self._process is not None
        assert self.hello is not None
        parts: list[Vectors] = []
        for start in range(0, len(job.texts), REQUEST_N):
            if job.is_cancelled:
                return
            texts, begun = job.texts[start : start + REQUEST_N], time.monotonic()
            vectors, answer = self._process.encode(texts, self.hello.dimensions)
            self._measure(len(texts) / max(1e-6, time.monotonic() - begun), answer)
            parts.append(vectors)
        job.vectors = np.concatenate(parts) if parts else np.empty((0, self.hello.dimensions), dtype=np.float32)
        job.done.set()
        self._failures = 0

    def _measure(self, texts_per_s: float, answer: Answer) -> None:
        self.signs_n += 1
        self.texts_per_s += _FORGETTING * (texts_per_s - self.texts_per_s)
        self.cpu_s += answer.cpu_s
        self.rss_bytes = answer.rss_bytes

    def _lost(self, error: Exception) -> None:
        """The process is gone: told once a reason; the job that it held is tried once more. Down: all that waits is given up."""
        if self._stop.is_set():
            return
        is_loaded, self._is_starting = not self._is_starting, False
        is_said = isinstance(error, Permanent | EOFError | TimeoutError)
        because = (error.detail if isinstance(error, Permanent) else str(error)) if is_said else f"{type(error).__name__}: {error}"
        self._failures += 1
        self.lost_n += 1
        if because != self.because or self._failures == 1:
            log.error("encoder.lost", encoder=self.settings.model, because=because)
        self.because = because
        if not is_loaded or self._failures >= _DOWN_AFTER_N:
            self._is_down = True
            while (job := self._held or self._next(0.0)) is not None:
                self._give_up(job)
        elif self._held is not None:
            self._held.attempts += 1
            if self._held.attempts >= ATTEMPTS_N:
                self._give_up(self._held)

    def _give_up(self, job: Job) -> None:
        self._held = None
        job.failed = self.because
        job.done.set()

    def _next(self, seconds: float | None) -> Job | None:
        """The next job that somebody waits for; None: nothing came, or the service ends."""
        while not self._stop.is_set():
            try:
                _, _, job = self._jobs.get(timeout=seconds) if seconds != 0.0 else self._jobs.get_nowait()
            except queue.Empty:
                return None
            self.signs_n += 1
            if not job.is_cancelled:
                return job
        return None

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.close()
