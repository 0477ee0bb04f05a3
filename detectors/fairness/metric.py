"""The rates that groups are compared by, and the metrics that are made of them: fairlearn's definitions over pairs of label and answer."""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Bools = NDArray[np.bool_]


class GroupRate(StrEnum):
    """Which rate; but for accuracy of one label, the favourable one, against the rest."""

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
    """Answered rightly, of all: one class taken for another is wrong, also where neither is the favourable one."""


def counted(rate: GroupRate, label: NDArray[np.object_], predicted: NDArray[np.object_], positive: str) -> tuple[Bools, Bools]:
    """Of pairs, each (n,): which are hits of a rate, and which count for it at all."""
    is_label, is_given = np.asarray(label == positive, dtype=bool), np.asarray(predicted == positive, dtype=bool)
    every = np.ones(len(label), dtype=bool)
    hits, of = {
        GroupRate.POSITIVE: (is_given, every),
        GroupRate.TRUE_POSITIVE: (is_given, is_label),
        GroupRate.FALSE_POSITIVE: (is_given, ~is_label),
        GroupRate.FALSE_NEGATIVE: (~is_given, is_label),
        GroupRate.PRECISION: (is_label, is_given),
        GroupRate.ACCURACY: (np.asarray(predicted == label, dtype=bool), every),
    }[rate]
    return hits & of, of


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
