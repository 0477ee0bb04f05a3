"""A detector in two parts with half of the stake each: what it learns on the way, and what its reference alone fixes.

The mean of two e-detectors on one clock is one, under any dependence, and their deltas add up. It costs log(2) of the evidence; what is
fixed can alarm at the first pane of a change.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from detectors.combine import mean_e_detector
from detectors.sequential.bets import NOTHING, is_reached
from detectors.types import EDetectorValue, Outcome

if TYPE_CHECKING:
    from detectors.types import Verdict


def in_two(learnt: Verdict, fixed: Verdict, *, is_of_ties: bool) -> Verdict:
    """What both say together, in the words and by the figures of the one with more evidence.

    `is_of_ties`: the fixed part's evidence is of ties (see `ties`), and has no part in an alarm. Both have the same alpha.
    """
    one, other = (_evidence(part, is_first=not learnt.n + fixed.n) for part in (learnt, fixed))
    told = replace(other, log10_e=NOTHING) if is_of_ties else other
    is_alarm = is_reached(mean_e_detector([one, told], alpha=one.alpha).log10_e, one.alpha)
    is_by_fixed = bool(fixed.n) and (learnt.outcome is Outcome.INSUFFICIENT or told.log10_e > one.log10_e)
    first, evidence = fixed if is_by_fixed else learnt, mean_e_detector([one, other], alpha=one.alpha)
    outcome, because = first.outcome, first.because
    if outcome is not Outcome.INSUFFICIENT:
        outcome = Outcome.ALARM if is_alarm else Outcome.OK
        if not is_alarm and first.outcome is Outcome.ALARM:
            because = f"evidence grows, and is not enough yet: {because}"
        elif not is_alarm and learnt.outcome is Outcome.INSUFFICIENT:
            because = f"{because}; {learnt.because}"
    return replace(first, detector=learnt.detector, subject=learnt.subject, outcome=outcome, evidence=evidence, because=because)


def _evidence(verdict: Verdict, *, is_first: bool) -> EDetectorValue:
    """A part that has not bet yet has no wealth; where neither has, the evidence is 1."""
    if not isinstance(verdict.evidence, EDetectorValue):
        raise TypeError(f"only e-detectors are averaged, got {type(verdict.evidence).__name__} of {verdict.detector}")
    return verdict.evidence if verdict.n or is_first else replace(verdict.evidence, log10_e=NOTHING)
