"""Categories that the reference never had."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

from detectors.quality.fault import UNKNOWN, Fault, Known, Rise, Share, Trials, values_of
from detectors.registry import register
from detectors.sequential.interval import upper_share
from detectors.sketches.counts import MOST_CATEGORIES, Counts, category_name
from detectors.thinning import is_drawn
from detectors.types import ColumnKind, Eats

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from detectors.types import Increment, Reference, Window

_EVERY = 5
"""One in five rows of the reference is held out: how often it has a category that the others lack bounds the share of unseen ones."""


@dataclass(frozen=True, kw_only=True)
class _UnseenCategory(Fault):
    """The categories of all rows are known; the bound comes from the rows held out, against which the others alone were known.

    Knowing more categories only lowers the share of unseen ones, so the bound holds. More than 1,000 categories are an identifier.
    """

    column: str
    """Subject, "input.channel"."""

    noun: ClassVar[str] = "are of a category that the reference never had"
    eats: ClassVar[frozenset[Eats]] = frozenset({Eats.FAULTS, Eats.CATEGORY})

    def known(self, reference: Reference) -> Known:
        """The reference's categories, and how often a new one comes."""
        values = reference.columns.get(self.column)
        if values is None or reference.kinds.get(self.column) is not ColumnKind.CATEGORY:
            return UNKNOWN
        kept = [category_name(v) for v in values.tolist() if v is not None]
        is_held = is_drawn(len(kept), len(kept) // _EVERY).tolist()
        held_out = [v for v, held in zip(kept, is_held, strict=True) if held]
        others = {v for v, held in zip(kept, is_held, strict=True) if not held}
        names = others.union(held_out)
        if not held_out or len(names) > MOST_CATEGORIES:
            return Known(bound=1.0, n=len(kept))
        k = sum(v not in others for v in held_out)
        return Known(bound=float(upper_share(k, len(held_out), self.delta)), n=len(held_out), categories=tuple(sorted(names)))

    def in_window(self, known: Known, window: Window) -> Trials:
        """Of the categories that the sketch keeps: all of up to 1,000, else as good as a random sample of them."""
        found = window.sketches.get(self.column, {}).get("counts", Counts())
        names = set(known.categories)
        return Trials(sum(n for name, n in found.counts.items() if name not in names), sum(found.counts.values()))

    def in_increment(self, known: Known, data: Increment, tail: NDArray[np.int64]) -> Trials:
        """One by one."""
        values = [v for v in values_of(known, data, self.column).tolist() if v is not None]
        names = set(known.categories)
        return Trials(sum(category_name(v) not in names for v in values), len(values), tail=tail)


@register("unseen_category")
@dataclass(frozen=True, kw_only=True)
class UnseenCategory(_UnseenCategory, Share):
    """Share of a column's values whose category the reference never had."""

    @classmethod
    def example(cls) -> Self:
        """As the contract tests build it."""
        return cls(column="input.channel")


@register("unseen_category_rise")
@dataclass(frozen=True, kw_only=True)
class UnseenCategoryRise(_UnseenCategory, Rise):
    """Categories that the reference never had come more often than a further row of it would bring one: an e-detector."""

    @classmethod
    def example(cls) -> Self:
        """As the contract tests build it."""
        return cls(column="input.channel", alpha=0.01)
