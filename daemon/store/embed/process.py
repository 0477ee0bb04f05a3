"""The process that embeds, from the service's side: started, asked with a deadline, ended."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from multiprocessing import Pipe
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from retrain.encoder_wire import Answer, Hello, Wanted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from daemon.settings_encoder import EncoderSettings

LOAD_S = 180.0
"""A large encoder on a slow disk; importing torch alone takes seconds."""
ANSWER_S = 120.0
"""Of one request; the service asks for few texts at once."""
_END_S = 2.0
_SECRET = re.compile(r"^RETUNED_|TOKEN|PASS|SECRET|KEY|CREDENTIAL", re.IGNORECASE)
_MEMORY: dict[int, str] = {
    signal.SIGABRT: "; so it ends where memory_bytes is too little",
    signal.SIGKILL: "; so the kernel ends it where the machine's memory runs out",
}


def _environment() -> dict[str, str]:
    """Ours without what may be a secret: an encoder needs none."""
    return {name: value for name, value in os.environ.items() if not _SECRET.search(name)}


class EncoderProcess:
    """Used by one thread. `OSError`, `EOFError` and `ValueError` mean that it is lost."""

    def __init__(self, settings: EncoderSettings) -> None:
        self._pipe, theirs = Pipe()
        with theirs:
            command = [sys.executable, "-m", "retrain.encoder", str(theirs.fileno())]
            # a session of its own: a terminal's Ctrl-C is not for it
            self._child = subprocess.Popen(  # noqa: S603 (our own file)
                command, pass_fds=[theirs.fileno()], start_new_session=True, stdin=subprocess.DEVNULL, env=_environment()
            )
        limits = settings.model_dump(include={"model", "pooling", "max_tokens", "batch_n", "memory_bytes"})
        self._pipe.send_bytes(msgspec.msgpack.encode(Wanted(**limits, answer_s=ANSWER_S)))

    @property
    def is_alive(self) -> bool:
        """Whether it runs."""
        return self._child.poll() is None

    @property
    def pid(self) -> int:
        """Its number."""
        return self._child.pid

    def hello(self) -> Hello:
        """What it loaded, or why it could not."""
        return msgspec.msgpack.decode(self._answer(LOAD_S), type=Hello)

    def encode(self, texts: Sequence[str], dimensions: int) -> tuple[NDArray[np.float32], Answer]:
        """Vectors, shape (n, dimensions), a row of NaN where there is none; and what they cost."""
        try:
            self._pipe.send_bytes(msgspec.msgpack.encode(list(texts)))
        except OSError as e:  # it was lost while nothing was asked
            raise EOFError(self.ending()) from e
        answer = msgspec.msgpack.decode(self._answer(ANSWER_S), type=Answer)
        return np.frombuffer(answer.vectors, "<f4").reshape(len(texts), dimensions), answer

    def _answer(self, seconds: float) -> bytes:
        if not self._pipe.poll(seconds):
            raise TimeoutError(f"the process gave no answer within {seconds:.0f} s")
        try:
            return self._pipe.recv_bytes()
        except (EOFError, ConnectionError) as e:
            raise EOFError(self.ending()) from e

    def ending(self) -> str:
        """How it ended, in words; waits a moment for it."""
        try:
            code = self._child.wait(_END_S)
        except subprocess.TimeoutExpired:
            return "the process closed its pipe"
        if code >= 0:
            return f"the process ended with code {code}"
        return f"the process was ended by signal {-code} ({signal.Signals(-code).name}{_MEMORY.get(-code, '')})"

    def kill(self) -> None:
        """At once; from any thread."""
        self._child.kill()

    def close(self) -> None:
        """It ends when its pipe does; killed when it is in the middle of something."""
        self._pipe.close()
        try:
            self._child.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
