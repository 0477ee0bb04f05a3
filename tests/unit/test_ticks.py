"""Ticks go on whatever the clock on the wall does."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self, cast

from daemon import service

if TYPE_CHECKING:
    import pytest

    from daemon.wiring import Wired


@dataclass
class Ticked:
    """Stands where the wired service is."""

    at: list[float] = field(default_factory=list)
    tick_s: float = 0.0
    is_closed: bool = False

    @property
    def pipeline(self) -> Self:
        return self

    @property
    def monitor(self) -> Self:
        return self

    def tick(self, now: float) -> None:
        self.at.append(now)
        time.sleep(self.tick_s)

    def ticked(self, now: float, seconds: float) -> None:
        assert seconds >= self.tick_s, now  # the clock on the wall may have been set back meanwhile

    def close(self) -> None:
        self.is_closed = True


def ticks(ticked: Ticked, meanwhile: Any, *, period_s: float = 0.05) -> None:
    async def run() -> None:
        async with service._ticking(cast("Wired", ticked), period_s):
            await meanwhile()

    asyncio.run(run())
    assert ticked.is_closed


async def until(n: int, ticked: Ticked) -> None:
    for _ in range(500):
        if len(ticked.at) >= n:
            return
        await asyncio.sleep(0.01)
    raise TimeoutError(f"{len(ticked.at)} ticks in 5 s")


def test_a_clock_that_is_set_back_or_ahead_by_a_day_stops_no_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    wall, ahead_s = time.time, 0.0
    monkeypatch.setattr(time, "time", lambda: wall() + ahead_s)
    ticked = Ticked()

    async def set_it() -> None:
        nonlocal ahead_s
        for days in (1, 0, -1):
            ahead_s = days * 86_400.0
            await until(len(ticked.at) + 3, ticked)

    ticks(ticked, set_it)


def test_a_long_tick_is_followed_by_the_next_one_in_its_turn_and_not_by_all_that_it_missed() -> None:
    ticked = Ticked(tick_s=0.25)
    began = time.monotonic()

    async def wait() -> None:
        await until(4, ticked)

    ticks(ticked, wait, period_s=0.2)
    assert time.monotonic() - began >= 3 * 0.4 + 0.2
