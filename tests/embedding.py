"""An encoder's process for tests: no model, vectors that follow from the text alone, and what goes wrong is said beforehand."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from daemon.store.keys import key_of
from retrain.encoder_wire import Answer, Hello

if TYPE_CHECKING:
    from collections.abc import Sequence

    from daemon.settings_encoder import EncoderSettings

D = 8


def vector_of(text: str) -> np.ndarray[Any, Any]:
    """A direction in a cone, as an encoder gives it: the same for the same text."""
    seed = int.from_bytes(key_of(text)[:8], "big")
    moved = 2.0 if text.startswith("other") else 0.0
    return (np.random.default_rng(seed).normal(size=D) + 3.0 * (np.arange(D) == 0) + moved * (np.arange(D) == 1)).astype(np.float32)


@dataclass
class Fake:
    """In place of the process: what it does is set by the test, for all of them together."""

    settings: EncoderSettings
    made: ClassVar[list[Fake]] = []
    errors: ClassVar[list[Exception]] = []
    """Raised by the next answers, one each."""
    hellos: ClassVar[list[Hello]] = []
    gate: ClassVar[threading.Event] = threading.Event()
    speed: ClassVar[float] = 1000.0
    is_alive: bool = True
    pid: int = 1
    asked: list[list[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        Fake.made.append(self)

    @classmethod
    def reset(cls) -> None:
        """As before any test."""
        cls.made, cls.errors, cls.hellos, cls.speed = [], [], [], 1000.0
        cls.gate.set()

    def hello(self) -> Hello:
        return Fake.hellos.pop(0) if Fake.hellos else Hello(fingerprint="f", dimensions=D, texts_per_s=Fake.speed)

    def encode(self, texts: Sequence[str], dimensions: int) -> tuple[np.ndarray[Any, Any], Answer]:
        self.asked.append(list(texts))
        assert Fake.gate.wait(20)
        if Fake.errors:
            raise Fake.errors.pop(0)
        made = np.stack([np.full(dimensions, np.nan) if t == "no vector" else vector_of(t) for t in texts]).astype(np.float32)
        return made, Answer(vectors=b"", cpu_s=0.5, rss_bytes=7)

    def kill(self) -> None:
        Fake.gate.set()

    def close(self) -> None:
        self.is_alive = False
