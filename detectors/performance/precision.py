"""Precision: of the answers of one label, the share that was right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from detectors.performance.rate import weighted
from detectors.performance.rated import RatedOfLabel
from detectors.registry import register

if TYPE_CHECKING:
    from detectors.performance.rate import Rate
    from detectors.sketches.confusion import Confusion


@register("precision")
@dataclass(frozen=True, kw_only=True)
class Precision(RatedOfLabel):
    """Share of the answers `label` that were right, with an exact interval; n = labelled pairs answered so."""

    guarantee: ClassVar[str] = "given how many answers of the label, the interval holds with at least 1 - alpha at one look, for every n"
    counted: ClassVar[str] = "labelled pairs answered so"

    def rate(self, confusion: Confusion) -> Rate:
        """TP of TP + FP."""
        found = confusion.tallies(self.label)
        return weighted(found.tp, found.tp.plus(found.fp), self.alpha)
