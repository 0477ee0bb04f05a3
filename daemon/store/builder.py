"""Large panes are built in a process of their own: until the tick has its answer, the port has the interpreter for itself.

The process is this file, started with the first large pane. It ends with the service, also when that is killed: a late file of an old one
would be in the place of a new one's. It only saves time: when it dies, its pane is built here.
"""

from __future__ import annotations

import ctypes
import signal
import subprocess
import sys
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor, wait
from itertools import cycle
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import structlog

from daemon.settings import ModelSettings
from daemon.store import codec
from daemon.store.building import Building, Built
from daemon.store.memory import give_back
from daemon.store.parcel import Parcel
from daemon.store.spooled import Rows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

log = structlog.get_logger()

LARGE_N = 5000
"""Records of a pane; fewer are built faster than they are sent."""
PARCELS_N = 2
"""Panes on their way: while one is built, the next one is sent, so that the process never waits for this one's interpreter."""
_AHEAD_BYTES = 64 * 2**20
"""Of a pane's lines; a larger one is not sent before the one before it is built."""
_ANSWER_S = 120.0  # a process that takes longer for a pane hangs
_END_S = 5.0
_SOON_S = 0.05
"""For how long the process keeps a pane's memory for a next one: given back and taken anew it costs a tenth of the whole."""
_PR_SET_PDEATHSIG = 1  # <sys/prctl.h>


class Asked(msgspec.Struct, frozen=True):
    """One pane to be built."""

    model: str
    path: str
    rows: Rows


class Builder:
    """Used by one thread; `close` it."""

    def __init__(self, models: Sequence[ModelSettings], data_dir: Path, program: Sequence[str] = ("daemon.store.builder",)) -> None:
        self._models, self._data_dir, self._program = models, data_dir, program
        self._here = {model.name: Building(model) for model in models}
        self._there: _Process | None = None  # the sending thread's alone
        self._sending: ThreadPoolExecutor | None = None
        self._receiving: ThreadPoolExecutor | None = None
        self._begun: deque[Future[Built]] = deque()
        self._was_large = False

    def build(self, model: str, rows: Rows, path: str) -> Built:
        """`path` is relative to the data folder."""
        if len(rows.ids) >= LARGE_N:
            return self.begin(model, rows, path).result()
        return self._here[model].build(rows, self._data_dir / path)

    def begin(self, model: str, rows: Rows, path: str) -> Future[Built]:
        """`build` as what is to be waited for: one is built while the next one is sent.

        Waits itself until the last but one is done, of a very large pane until all are: that bounds the memory.
        """
        self._was_large = True
        ahead_n = PARCELS_N - 1 if sum(map(len, rows.lines)) <= _AHEAD_BYTES else 0
        while len(self._begun) > ahead_n:
            wait([self._begun.popleft()])
        self._sending = self._sending or ThreadPoolExecutor(1, "builder-send")
        self._receiving = self._receiving or ThreadPoolExecutor(1, "builder")
        file = self._data_dir / path
        sent = self._sending.submit(self._send, Asked(model, str(file), rows))
        self._begun.append(self._receiving.submit(self._receive, sent, model, rows, file))
        return self._begun[-1]

    def _send(self, asked: Asked) -> _Process | None:
        """Where it was sent; None = it has to be built here."""
        if len(asked.rows.ids) < LARGE_N:
            return None
        if self._there is not None and self._there.is_lost:
            self._end()  # nobody waits for it: of what it was sent only the newest is not done, and that one is not asked for
        try:
            self._there = self._there or _Process(self._models, self._program)
            self._there.send(asked)
        except (OSError, EOFError, ValueError) as error:
            _tell_lost(asked.model, error)
            if self._there is not None:
                self._there.is_lost = True
            return None
        return self._there

    def _receive(self, sent: Future[_Process | None], model: str, rows: Rows, file: Path) -> Built:
        there = sent.result()
        if there is not None and not there.is_lost:
            try:
                return there.receive()
            except (OSError, EOFError, ValueError) as error:
                _tell_lost(model, error)
                there.is_lost = True
        return self._here[model].build(rows, file)

    def release(self) -> None:
        """After the panes of a tick, when nothing holds their records any more."""
        if self._was_large:
            give_back()
        self._was_large = False
        while self._begun and self._begun[0].done():
            self._begun.popleft()

    def close(self) -> None:
        """End the process, if there is one."""
        if self._sending is not None and self._receiving is not None:
            self._receiving.shutdown()
            self._sending.submit(self._end)
            self._sending.shutdown()
            self._sending = self._receiving = None
            self._begun.clear()

    def _end(self) -> None:
        if self._there is not None:
            self._there.close()
            self._there = None


class _Process:
    """The process, from the service's side: one thread sends, another one receives, in the same order."""

    def __init__(self, models: Sequence[ModelSettings], program: Sequence[str]) -> None:
        self.is_lost = False
        """Something went wrong with it: what was sent is not waited for, and it is ended with the next sending."""
        self._parcels = [Parcel() for _ in range(PARCELS_N)]
        self._sent_n = self._received_n = 0
        self._pipe, theirs = Pipe()
        with theirs:
            fds = [theirs.fileno(), *(parcel.fd for parcel in self._parcels)]
            # a session of its own: a terminal's Ctrl-C is not for it
            self._child = subprocess.Popen([sys.executable, "-m", *program, *map(str, fds)], pass_fds=fds, start_new_session=True)  # noqa: S603 (our own file)
        self._pipe.send_bytes(msgspec.json.encode([model.model_dump(mode="json") for model in models]))

    def send(self, asked: Asked) -> None:
        """At most `PARCELS_N` ahead of `receive`."""
        _send(self._pipe, self._parcels[self._sent_n % PARCELS_N], msgspec.msgpack.encode(asked))
        self._sent_n += 1

    def receive(self) -> Built:
        """The answer to the oldest that was sent."""
        if not self._pipe.poll(_ANSWER_S):
            raise TimeoutError(f"no answer within {_ANSWER_S:.0f} s")
        parcel = self._parcels[self._received_n % PARCELS_N]
        self._received_n += 1
        return codec.decode(_received(self._pipe, parcel), Built)

    def close(self) -> None:
        self._pipe.close()
        for parcel in self._parcels:
            parcel.close()
        try:
            self._child.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()


def answer(pipe: Connection, parcels: Sequence[Parcel], building: Callable[[ModelSettings], Building] = Building) -> None:
    """The process, from its own side: until the pipe closes. What goes wrong ends it, and is found again by the service."""
    end_with_parent()
    models = [ModelSettings.model_validate(found) for found in msgspec.json.decode(pipe.recv_bytes())]
    made = {model.name: building(model) for model in models}
    decoder = msgspec.msgpack.Decoder(Asked)
    try:
        for parcel in cycle(parcels):  # each answer goes where its question came from
            asked = decoder.decode(_received(pipe, parcel))
            _send(pipe, parcel, codec.encode(made[asked.model].build(asked.rows, Path(asked.path))))
            del asked
            if not pipe.poll(_SOON_S):
                give_back()
    except (EOFError, ConnectionError):
        return


def _send(pipe: Connection, parcel: Parcel, data: bytes) -> None:
    pipe.send_bytes(parcel.put(data).to_bytes(8))


def _received(pipe: Connection, parcel: Parcel) -> bytes:
    return parcel.take(int.from_bytes(pipe.recv_bytes()))


def _tell_lost(model: str, error: Exception) -> None:
    log.warning("builder.lost", model=model, error=f"{type(error).__name__}: {error}"[:200])


def end_with_parent() -> None:
    """Ask the kernel to kill this process when the thread that started it is gone; elsewhere than on Linux a closed pipe has to do."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    answer(Connection(int(sys.argv[1])), [Parcel(int(fd)) for fd in sys.argv[2:]])
