"""One model's trouble is that model's: what its rows do to a step of the tick keeps no other model and no page from going on."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

import structlog

from daemon.store.damage import BROKEN, REMEDY, said
from retrain.types import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

log = structlog.get_logger()


class Apart:
    """One per service. A trouble is logged when it begins, counted each time, and over when the same step works again."""

    def __init__(self) -> None:
        self.failures: Counter[Reason] = Counter()
        self._troubles: dict[tuple[str, str], str] = {}

    @property
    def troubles(self) -> dict[str, tuple[str, ...]]:
        """Model -> what does not work for it now, a sentence each."""
        found: dict[str, tuple[str, ...]] = {}
        for (model, _), because in list(self._troubles.items()):
            found[model] = (*found.get(model, ()), because)
        return found

    @contextmanager
    def of(self, model: str, step: str) -> Iterator[None]:
        """A step of a tick that is about one model; `step`: what is not done when it fails."""
        try:
            yield
        except BROKEN as e:
            self.failures[Reason.BAD_DATA] += 1
            because = f"{step} is not done, the other models go on: {said(e)}; if a row of the ledger was changed, {REMEDY}"
            if self._troubles.get((model, step)) != because:
                log.exception("model.failed", model=model, because=because)
            self._troubles[model, step] = because
        else:
            self._troubles.pop((model, step), None)
