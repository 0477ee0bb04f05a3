"""Labelled records of an incident: what each costs, by the model's task, and what their mean loss is held to. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from detectors.sequential.interval import log_likelihood, log_mixture, share_sequence
from detectors.sequential.loss import Loss, usable
from detectors.sequential.mean_bounds import is_mean_below, mean_bounds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from detectors.types import Pairs

ALPHA = 0.01
"""P(ever a benign word about a harmful shift), while the loss since the opening stays the same."""
_MOST_LABELS = 1_000_000
_OF_TASK = {"tabular-regression": Loss.ABSOLUTE_ERROR, "text-generation": Loss.QUALITY}
_ENDING = {Loss.ABSOLUTE_ERROR: "_value", Loss.QUALITY: "_judged"}


def loss_of(task: str) -> Loss:
    """What a labelled pair costs."""
    return _OF_TASK.get(task, Loss.ERROR)


def named(detector: str, loss: Loss) -> str:
    """Of a detector of classes ("risk", "conformal_inputs") the name of its form for this loss."""
    return f"{detector}{_ENDING.get(loss, '')}"


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """Labelled records since the incident opened."""

    n: int = 0
    errors_n: float = 0
    """Errors among them; of another loss its sum, each over the clip and so in [0, 1]."""
    squares: float | None = None
    """Sum of the squares of such losses; None = errors, 0 or 1."""
    limit: float | None = None
    """Source bound plus tolerance, as the detector of risk has it, over the clip; None = there is none."""
    clip: float = 1.0
    """The largest loss, in its own unit: more counts as that."""
    loss: Loss = Loss.ERROR

    @classmethod
    def of(cls, kept: Mapping[str, Any], loss: Loss, *, limit: float | None, clip: float) -> Self:
        """From what the ledger keeps of an incident; `limit` in the loss's own unit."""
        squares = None if loss is Loss.ERROR else float(kept.get("squares", 0.0))
        over = None if limit is None else limit / clip
        return cls(n=kept["n"], errors_n=kept["errors_n"], squares=squares, limit=over, clip=clip, loss=loss)

    def add(self, pairs: Pairs) -> Self:
        """With further pairs, unweighted."""
        x = usable(pairs, self.loss, (), clip=self.clip, most_weight=1.0).x
        if self.squares is None:
            return replace(self, n=self.n + len(x), errors_n=self.errors_n + int(x.sum()))
        return replace(self, n=self.n + len(x), errors_n=self.errors_n + float(x.sum()), squares=self.squares + float(x @ x))

    def kept(self) -> dict[str, Any]:
        """What the ledger keeps."""
        return {"n": self.n, "errors_n": self.errors_n} | ({} if self.squares is None else {"squares": self.squares})

    @cached_property
    def bounds(self) -> tuple[float, float]:
        """Confidence sequence of the mean loss at `ALPHA`."""
        if self.squares is None:
            return share_sequence(self.errors_n, self.n, ALPHA)
        return mean_bounds(self.n, self.errors_n, self.squares, ALPHA)

    def _would_do(self, n: int, limit: float) -> bool:
        """Whether so many labels with the losses so far would be proof."""
        times = n / self.n if self.n else 1.0
        total = self.errors_n * times
        if self.squares is not None:
            return is_mean_below(n, total, self.squares * times, limit, ALPHA)
        return total < n * limit and float(log_mixture(total, n) - log_likelihood(total, n, limit)) > math.log(1.0 / ALPHA)

    def needed(self) -> int | None:
        """The least number of labels whose loss, as it is so far, is proven to be below the limit; None = more than a million, or never."""
        if self.limit is None or (self.n and self.errors_n / self.n >= self.limit):
            return None
        low, high = 0, 1
        while not self._would_do(high, self.limit):
            low, high = high, 2 * high
            if high > _MOST_LABELS:
                return None
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self._would_do(middle, self.limit) else (middle, high)
        return high

    def told(self) -> str:
        """In words, in the loss's own unit."""
        if not self.n:
            return "no label of a record since the opening has come yet"
        low, high = (f"{self.clip * x:.3g}" if self.clip != 1.0 else f"{x:.3f}" for x in self.bounds)
        since = f"of {self.n} labelled records since the opening"
        if self.squares is None:
            return f"{self.errors_n} {since} were wrong, a loss between {low} and {high}"
        what = "absolute error" if self.loss is Loss.ABSOLUTE_ERROR else "loss (1 less the judgement)"
        return f"the mean {what} {since} is {self.clip * self.errors_n / self.n:.3g}, between {low} and {high}"

    def allowed(self) -> str:
        """The limit in the loss's own unit."""
        return f"{self.clip * (self.limit or 0.0):.3f}" if self.clip == 1.0 else f"{self.clip * (self.limit or 0.0):.3g}"
