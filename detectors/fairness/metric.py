"""The rates that groups are compared by, and the metrics that are made of them: fairlearn's definitions over four counts a group."""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class GroupRate(StrEnum):
    """Which rate; of one label, the favourable one, against the rest."""

    POSITIVE = "positive"
    """Given the label, of all: what demographic parity compares."""
    TRUE_POSITIVE = "true_positive"
    """Given it, of those whose label it is: the first of equalised odds, equal opportunity alone."""
    FALSE_POSITIVE = "false_positive"
    """Given it, of the others: the second of equalised odds."""
    FALSE_NEGATIVE = "false_negative"
    """Not given it, of those whose label it is."""
    PRECISION = "precision"
    """Rightly given it, of those who were given it: what predictive parity compares."""
    ACCURACY = "accuracy"
    """Answered rightly, of all."""


class Counted(NamedTuple):
    """Which of the four counts (tp, fp, fn, tn) are hits, and which are counted at all."""

    hits: frozenset[str]
    of: frozenset[str]


_ALL = frozenset({"tp", "fp", "fn", "tn"})
COUNTED: Mapping[GroupRate, Counted] = MappingProxyType(
    {
        GroupRate.POSITIVE: Counted(frozenset({"tp", "fp"}), _ALL),
        GroupRate.TRUE_POSITIVE: Counted(frozenset({"tp"}), frozenset({"tp", "fn"})),
        GroupRate.FALSE_POSITIVE: Counted(frozenset({"fp"}), frozenset({"fp", "tn"})),
        GroupRate.FALSE_NEGATIVE: Counted(frozenset({"fn"}), frozenset({"tp", "fn"})),
        GroupRate.PRECISION: Counted(frozenset({"tp"}), frozenset({"tp", "fp"})),
        GroupRate.ACCURACY: Counted(frozenset({"tp", "tn"}), _ALL),
    }
)

GAPS: Mapping[str, tuple[GroupRate, ...]] = MappingProxyType(
    {
        "equalized_odds_difference": (GroupRate.TRUE_POSITIVE, GroupRate.FALSE_POSITIVE),
        "demographic_parity_difference": (GroupRate.POSITIVE,),
        "equal_opportunity_difference": (GroupRate.TRUE_POSITIVE,),
        "false_positive_rate_difference": (GroupRate.FALSE_POSITIVE,),
        "false_negative_rate_difference": (GroupRate.FALSE_NEGATIVE,),
        "predictive_parity_difference": (GroupRate.PRECISION,),
        "accuracy_difference": (GroupRate.ACCURACY,),
    }
)
"""Metric -> the rates whose largest difference between two groups it is."""
