"""Label shift: what share of production a class truly has, by the answers and the reference's confusion, before any label is there."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
from scipy.special import erfc

from detectors.drift.one_look import OneLook
from detectors.performance.priors import Priors, by_answers
from detectors.performance.scored import counts_of, numbered, with_scores
from detectors.registry import register
from detectors.types import Eats

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from detectors.types import Reference, Verdict, Window


@dataclass(frozen=True, kw_only=True)
class LabelShiftState:
    """Labelled reference rows."""

    table: NDArray[np.float64]
    """By (answer, truth), (k, k)."""


@register("label_shift")
@dataclass(frozen=True, kw_only=True)
class LabelShift(OneLook):
    """Black box shift estimation of one class's share of the truth; p-value of "it is the reference's share"."""

    eats: ClassVar[frozenset[Eats]] = frozenset({Eats.SCORES})
    guarantee: ClassVar[str] = "interval with about 1 - alpha, P(p <= alpha) about alpha at one look (delta method over both samples)"
    assumption: ClassVar[str] = "only the shares of the classes change, not what each class looks like; records independent"
    cost: ClassVar[str] = "O(k^3) for k classes, flat in records; no labels of the window"
    source: ClassVar[str] = (
        "Lipton, Wang & Smola 2018, Detecting and Correcting for Label Shift with Black Box Predictors, arXiv:1802.03916"
    )

    label: str
    labels: tuple[str, ...]
    min_n: int = 100
    """Fewer answers in the window, or labelled reference rows: insufficient."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.label not in self.labels:
            raise ValueError(f"label must be one of {self.labels}, got {self.label!r}")

    @classmethod
    def example(cls) -> Self:
        """As the contract tests build it."""
        return cls(label="positive", labels=("negative", "positive"))

    @property
    def subject(self) -> str:
        """The class's share."""
        return f"label_share[label={self.label}]"

    def start(self, reference: Reference) -> LabelShiftState:
        """The reference's confusion."""
        k, rows = len(self.labels), with_scores(reference.bound, self.labels)
        if rows is None:
            return LabelShiftState(table=np.zeros((k, k)))
        cells = numbered(rows.predicted, self.labels) * k + numbered(rows.label, self.labels)
        return LabelShiftState(table=np.bincount(cells, minlength=k * k).reshape(k, k).astype(np.float64))

    def step(self, state: LabelShiftState, data: Window) -> tuple[LabelShiftState, Verdict]:
        """One look at a window."""
        answers = counts_of(data, self.labels)[:, 1].sum(axis=1)  # (k,)
        n, n_before = int(answers.sum()), int(state.table.sum())
        found = by_answers(state.table, answers, alpha=self.alpha) if min(n, n_before) >= self.min_n else None
        if found is None:
            because = (
                f"{self.subject}: {n} answers, {n_before} labelled reference rows (both need {self.min_n}), or the answers tell nothing"
            )
            return state, self.unknown((0.5, 0.0, 1.0), n, because)
        return state, self._found(found, state.table.sum(axis=0) / n_before, n)

    def _found(self, found: Priors, before: NDArray[np.float64], n: int) -> Verdict:
        j = self.labels.index(self.label)
        share, low, high = (float(x[j]) for x in (found.share, found.low, found.high))
        error = float(found.change_error[j])
        z = abs(share - before[j]) / error if error > 0.0 else 0.0
        p = float(erfc(z / math.sqrt(2.0)))
        is_alarm = p <= self.alpha
        because = (
            f"{share:.1%} of the records are probably {self.label}, between {low:.1%} and {high:.1%}, by {n} answers; in the reference "
            f"{before[j]:.1%}: {'another' if is_alarm else 'no evidence of another'} share, p = {p:.2g}"
        )
        return self.told(p, (share, low, high), n, because)
