"""What each monitor of a group gets of the group's rate of false alarms. Pure.

A user says `mean_days_between_false_alarms` of a whole group of monitors. One pane is one step of an e-detector, so the group has
N = days * 86400 / pane_s panes between false alarms; each of its k e-detectors alarms at k * N. Their mean is an e-detector with run length
>= N (Shin, Ramdas & Rinaldo 2022, arXiv:2203.03532: e-detectors average), and one of them at k * N puts the mean at N: the
group keeps its promise under any dependence between the columns.
"""

from __future__ import annotations

DELTA = 0.01
"""Chance that a bound made from the finite reference fails; then the run length promise is void for that epoch. Stated with each figure."""


def alpha_per_pane(*, days: float, pane_s: float, n: int) -> float:
    """What each of n e-detectors gets, so that the group's mean run length is at least `days`."""
    return min(0.5, pane_s / (days * 86400.0 * max(1, n)))
