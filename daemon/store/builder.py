"""Large panes are built in a process of their own: until the tick has its answer, the port has the interpreter for itself.

The process is this file, started with the first large pane. It ends with the service, also when that is killed: a late file of an old one
would be in the place of a new one's. It only saves time: when it dies, its pane is built here.
"""

from __future__ import annotations

import ctypes
import signal
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor, wait
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

    def __init__(self, models: Sequence[ModelSettings], data_dir: Path) -> None:
        self._models, self._data_dir = models, data_dir
        self._here = {model.name: Building(model) for model in models}
        self._there: _Process | None = None  # the thread's alone
        self._thread: ThreadPoolExecutor | None = None  # waits for the process: the pipe holds less than one pane
        self._newest: Future[Built] | None = None
        self._was_large = False

    def build(self, model: str, rows: Rows, path: str) -> Built:
        """`path` is relative to the data folder."""
        if len(rows.ids) >= LARGE_N:
            return self.begin(model, rows, path).result()
        return self._here[model].build(rows, self._data_dir / path)

    def begin(self, model: str, rows: Rows, path: str) -> Future[Built]:
        """`build` as what is to be waited for. Waits itself until the one before is done: memory holds two."""
        self._was_large = True
        if self._newest is not None:
            wait([self._newest])
        self._thread = self._thread or ThreadPoolExecutor(1, "builder")
        self._newest = self._thread.submit(self._build, model, rows, self._data_dir / path)
        return self._newest

    def _build(self, model: str, rows: Rows, file: Path) -> Built:
        if len(rows.ids) >= LARGE_N:
            try:
                self._there = self._there or _Process(self._models)
                return self._there.build(Asked(model, str(file), rows))
            except (OSError, EOFError, ValueError) as error:
                log.warning("builder.lost", model=model, error=f"{type(error).__name__}: {error}"[:200])
                self._end()
        return self._here[model].build(rows, file)

    def release(self) -> None:
        """After the panes of a tick, when nothing holds their records any more."""
        if self._was_large:
            give_back()
        self._was_large = False
        if self._newest is not None and self._newest.done():
            self._newest = None

    def close(self) -> None:
        """End the process, if there is one."""
        if self._thread is not None:
            self._thread.submit(self._end)
            self._thread.shutdown()
            self._thread = self._newest = None

    def _end(self) -> None:
        if self._there is not None:
            self._there.close()
            self._there = None


class _Process:
    """The process, from the service's side."""

    def __init__(self, models: Sequence[ModelSettings], program: Sequence[str] = ("daemon.store.builder",)) -> None:
        self._parcel = Parcel()
        self._pipe, theirs = Pipe()
        with theirs:
            fds = [theirs.fileno(), self._parcel.fd]
            # a session of its own: a terminal's Ctrl-C is not for it
            self._child = subprocess.Popen([sys.executable, "-m", *program, *map(str, fds)], pass_fds=fds, start_new_session=True)  # noqa: S603 (our own file)
        self._pipe.send_bytes(msgspec.json.encode([model.model_dump(mode="json") for model in models]))

    def build(self, asked: Asked) -> Built:
        _send(self._pipe, self._parcel, msgspec.msgpack.encode(asked))
        if not self._pipe.poll(_ANSWER_S):
            raise TimeoutError(f"no answer within {_ANSWER_S:.0f} s")
        return codec.decode(_received(self._pipe, self._parcel), Built)

    def close(self) -> None:
        self._pipe.close()
        self._parcel.close()
        try:
            self._child.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()


def answer(pipe: Connection, parcel: Parcel, building: Callable[[ModelSettings], Building] = Building) -> None:
    """The process, from its own side: until the pipe closes. What goes wrong ends it, and is found again by the service."""
    end_with_parent()
    models = [ModelSettings.model_validate(found) for found in msgspec.json.decode(pipe.recv_bytes())]
    made = {model.name: building(model) for model in models}
    decoder = msgspec.msgpack.Decoder(Asked)
    try:
        while True:
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


def end_with_parent() -> None:
    """Ask the kernel to kill this process when the thread that started it is gone; elsewhere than on Linux a closed pipe has to do."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    answer(Connection(int(sys.argv[1])), Parcel(int(sys.argv[2])))
