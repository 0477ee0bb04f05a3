"""Wrong tokens are slow: a limit for each address and one for all, in bounded memory."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

WITHIN_S = 60.0
FROM_ONE = 10
"""Wrong tokens from one address within a minute; then nobody from there gets in before the minute is over."""
FROM_ALL = 100
"""The same from everywhere: against many addresses."""
_ADDRESSES = 1024


class Attempts:
    """Safe from any thread. `clock` is monotonic."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._all: deque[float] = deque(maxlen=FROM_ALL)
        self._by_address: OrderedDict[str, deque[float]] = OrderedDict()

    def wait_s(self, address: str) -> float:
        """How long nobody from this address may try; 0 = now."""
        with self._lock:
            mine = self._by_address.get(address, ())
            return max(self._wait_s(mine, FROM_ONE), self._wait_s(self._all, FROM_ALL))

    def wrong(self, address: str) -> None:
        """One more; the address that was heard of least recently is forgotten."""
        with self._lock:
            now = self._clock()
            self._all.append(now)
            self._by_address.setdefault(address, deque(maxlen=FROM_ONE)).append(now)
            self._by_address.move_to_end(address)
            if len(self._by_address) > _ADDRESSES:
                self._by_address.popitem(last=False)

    def _wait_s(self, times: Sequence[float], most: int) -> float:
        """The oldest of the last `most` must be a minute ago."""
        return 0.0 if len(times) < most else max(0.0, times[0] + WITHIN_S - self._clock())
