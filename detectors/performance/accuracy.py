"""Accuracy: the share of labelled pairs answered rightly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

from detectors.performance.rate import weighted
from detectors.performance.rated import Rated
from detectors.registry import register

if TYPE_CHECKING:
    from detectors.performance.rate import Rate
    from detectors.sketches.confusion import Confusion


@register("accuracy")
@dataclass(frozen=True, kw_only=True)
class Accuracy(Rated):
    """Share of labelled pairs answered rightly, with an exact interval; n = labelled pairs."""

    counted: ClassVar[str] = "labelled pairs"

    @classmethod
    def example(cls) -> Self:
        """As the contract tests build it."""
        return cls(minimum=0.8)

    def rate(self, confusion: Confusion) -> Rate:
        """Right ones of all."""
        return weighted(*confusion.right(), self.alpha)
