"""Recall: of the pairs of one true label, the share that was found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from detectors.performance.rate import weighted
from detectors.performance.rated import RatedOfLabel
from detectors.registry import register

if TYPE_CHECKING:
    from detectors.performance.rate import Rate
    from detectors.sketches.confusion import Confusion


@register("recall")
@dataclass(frozen=True, kw_only=True)
class Recall(RatedOfLabel):
    """Share of the pairs of true label `label` that were answered so, with an exact interval; n = labelled pairs of that label."""

    guarantee: ClassVar[str] = "given how many pairs of the label, the interval holds with at least 1 - alpha at one look, for every n"
    counted: ClassVar[str] = "labelled pairs of that label"

    def rate(self, confusion: Confusion) -> Rate:
        """TP of TP + FN."""
        found = confusion.tallies(self.label)
        return weighted(found.tp, found.tp.plus(found.fn), self.alpha)
