"""Values that are missing: nothing was sent, or null."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from detectors.quality.fault import UNKNOWN, Fault, Known, Rise, Share, Trials, values_of
from detectors.registry import register
from detectors.sequential.interval import upper_share
from detectors.sketches.counts import Counts
from detectors.sketches.fourier import Fourier
from detectors.sketches.hits import Hits
from detectors.sketches.moments import Moments
from detectors.types import ColumnKind, Eats

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from numpy.typing import NDArray

    from detectors.types import Increment, Reference, Window


@dataclass(frozen=True, kw_only=True)
class _Missing(Fault):
    """A value that is there and does not read as a number is `wrong_type`, not missing."""

    column: str
    """Subject, "input.age"."""

    noun: ClassVar[str] = "are missing"
    eats: ClassVar[frozenset[Eats]] = frozenset({Eats.FAULTS, Eats.NUMERIC})

    def known(self, reference: Reference) -> Known:
        """Its share of the reference's rows."""
        if self.column not in reference.kinds:
            return UNKNOWN
        is_numeric = reference.kinds[self.column] in {ColumnKind.NUMERIC, ColumnKind.EMBEDDING}
        k, n, _, _ = _counted(reference.sketches.get(self.column, {}), is_numeric=is_numeric)
        return Known(bound=float(upper_share(k, n, self.delta)), n=n, is_numeric=is_numeric) if n else UNKNOWN

    def in_window(self, known: Known, window: Window) -> Trials:
        """Counted in the sketches."""
        return _counted(window.sketches.get(self.column, {}), is_numeric=known.is_numeric)

    def in_increment(self, known: Known, data: Increment, tail: NDArray[np.int64]) -> Trials:
        """NaN or None, without what was there and could not be read."""
        values = values_of(known, data, self.column)
        if known.is_numeric:
            return Trials(
                int(np.isnan(values if values.ndim == 1 else values[:, 0]).sum()) - data.wrong.get(self.column, 0), len(values), tail=tail
            )
        return Trials(values.tolist().count(None), len(values), tail=tail)


@register("missing")
@dataclass(frozen=True, kw_only=True)
class Missing(_Missing, Share):
    """Share of a column's values that are missing."""

    @classmethod
    def example(cls) -> Self:
        """As the contract tests build it."""
        return cls(column="input.age")


@register("missing_rise")
@dataclass(frozen=True, kw_only=True)
class MissingRise(_Missing, Rise):
    """More of a column's values are missing than in the reference, by more than the tolerance: an e-detector."""

    @classmethod
    def example(cls) -> Self:
        """As the contract tests build it."""
        return cls(column="input.age", alpha=0.01)


def _counted(sketches: Mapping[str, Any], *, is_numeric: bool) -> Trials:
    found = next((sketches[name] for name in ("counts", "moments", "fourier") if name in sketches), Moments())
    wrong = sketches.get("wrong", Hits()).k if is_numeric else 0
    assert isinstance(found, (Counts, Moments, Fourier))
    return Trials(max(0, found.missing - wrong), found.n + found.missing)
