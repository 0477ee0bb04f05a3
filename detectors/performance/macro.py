"""Macro averages: every class counts the same, however rare. Balanced accuracy is the macro average of recall."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np

from detectors.performance.figure import Figure, Good, on_logit
from detectors.registry import register
from detectors.sketches.confusion import Cell, Confusion
from detectors.types import Eats

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


@register("macro")
@dataclass(frozen=True, kw_only=True)
class Macro(Good):
    """Mean over the classes of precision, recall or F1, with scikit-learn's convention (0 where nothing was answered or is true).

    Its error by the delta method over the cells of the confusion table, the gradient taken at a table with 1/k pairs more in each cell (k
    classes), so that it does not vanish where no error has been seen; the interval is on the logit.
    """

    eats: ClassVar[frozenset[Eats]] = frozenset({Eats.PAIRS})
    cost: ClassVar[str] = "O(classes^3)"
    source: ClassVar[str] = "Sokolova & Lapalme 2009 for the figures; Takahashi et al. 2022, Applied Intelligence 52, for F1's interval"

    metric: Literal["f1", "precision", "recall"] = "f1"
    """What is averaged."""
    labels: tuple[str, ...]
    """The classes that are averaged over."""

    @classmethod
    def example(cls) -> Self:
        """As the contract tests build it."""
        return cls(metric="f1", labels=("not positive", "positive"), minimum=0.7)

    @property
    def subject(self) -> str:
        """Balanced accuracy by its own name."""
        return "balanced_accuracy" if self.metric == "recall" else f"macro_{self.metric}"

    def figure(self, confusion: Confusion, judged: Mapping[str, Any]) -> Figure:  # noqa: ARG002 (of counts alone)
        """Of merged counts; rows and columns of other labels are one more class, "the rest", that is not averaged over."""
        n, w, w2 = _table(confusion, self.labels)
        if n == 0:
            return Figure(value=0.0, low=0.0, high=1.0, n=0)
        k, total = len(self.labels), float(w.sum())
        value, _ = _mean(w / total, k, self.metric)
        unseen = [label for label, row in zip(self.labels, w, strict=False) if row.sum() <= 0.0]
        effective = total**2 / float(w2.sum())
        soft = np.zeros_like(w)
        soft[:k, :k] = 1.0 / k
        p = (w * effective / total + soft) / (effective + soft.sum())
        _, gradient = _mean(p, k, self.metric)
        centred = gradient - float((p * gradient).sum())
        variance = float(((w2 / total**2 + soft / effective**2) * centred**2).sum())
        low, high = on_logit(value, math.sqrt(variance), self.alpha)
        lacks = f"no labelled pair of {', '.join(map(repr, unseen))}" if unseen else ""
        dropped = "more combinations of labels than can be counted; is this a classification?" if confusion.dropped_of_all else ""
        return Figure(value=value, low=low, high=high, n=n, lacks=dropped or lacks)


def _table(confusion: Confusion, labels: tuple[str, ...]) -> tuple[int, Floats, Floats]:
    """(pairs, sums of weights, of their squares), truth x answer, shape (k + 1, k + 1); the last is every other label."""
    place, k = {label: i for i, label in enumerate(labels)}, len(labels)
    w, w2, n = np.zeros((k + 1, k + 1)), np.zeros((k + 1, k + 1)), 0
    for true, given in confusion.table():
        found, at = confusion.tally(Cell("", "", true, given)), (place.get(true, k), place.get(given, k))
        n, w[at], w2[at] = n + found.n, w[at] + found.w, w2[at] + found.w2
    return n, w, w2


def _mean(p: Floats, k: int, metric: str) -> tuple[float, Floats]:
    """(macro average, its gradient by the cells) of a table of shares.

    Each class's figure is 2 TP / (a R + b C) with R its row sum (truth), C its column sum (answers): F1 a = b = 1, recall a = 2, precision
    b = 2.
    """
    a, b = {"f1": (1.0, 1.0), "recall": (2.0, 0.0), "precision": (0.0, 2.0)}[metric]
    value, gradient = 0.0, np.zeros_like(p)
    for j in range(k):
        below = a * p[j].sum() + b * p[:, j].sum()
        if below <= 0.0:
            continue
        figure = 2.0 * p[j, j] / below
        value += figure / k
        gradient[j, j] += 2.0 / below / k
        gradient[j] -= a * figure / below / k
        gradient[:, j] -= b * figure / below / k
    return float(value), gradient
