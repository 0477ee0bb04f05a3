"""What may be believed of an incident by its e-processes: whether anything changed at all, and which columns and segments did. Pure.

e-detectors wake people, for they are quick; they grow without bound in quiet times and prove nothing afterwards. Beside each of them stands
an e-process of the same bets (`detectors.sequential.purse`). A subject is one hypothesis, that nothing about it has changed, however many
detectors look at it (a text has two, a column of numbers one and its faults): their mean is its e-process. Of these:

- `named`: e-BH at the moment of an alarm, a stopping time of all of them, names what has changed since the epoch began. At that moment at
  most `DISCOVERIES` of the named are named falsely in the mean, whatever depends on what.
- `over`: what was named and no longer alarms. Its e-process may have begun anew when the change ended (docs/decisions/0036).
- `is_confirmed`: the mean of all e-processes is one of "nothing has changed in this epoch", whichever of them alarmed. Epochs are the
  stream of hypotheses that e-LOND takes (docs/decisions/0024 says why not incidents): over the life of a model at most `DISCOVERIES` of the
  epochs whose incidents are confirmed had nothing to confirm, in the mean. e-LOND's level of an epoch is known when the epoch begins, so
  that it may be looked at as often as there are alarms.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from daemon.decide.names import is_of_segment, listed
from daemon.decide.times import when
from detectors.combine import e_bh, e_lond, e_lond_levels, mean_e_value
from detectors.sequential.purse import DISCOVERIES
from detectors.types import EValue

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from detectors.types import Verdict


@dataclass(frozen=True, kw_only=True)
class Belief:
    """As it stands at the newest alarm."""

    named: tuple[str, ...] = ()
    """Subjects that have surely changed."""
    over: Mapping[str, float] = field(default_factory=dict)
    """Of those named at this alarm or before, the ones that do not alarm now -> when they last did."""
    log10_e: float
    """The most that the mean of all e-processes has been at an alarm of the incident."""
    needed: float
    """log10 of what confirms in this epoch."""
    is_confirmed: bool

    def as_data(self) -> dict[str, Any]:
        """As the ledger keeps it."""
        shown = {"log10_e": self.log10_e, "needed": self.needed, "is_confirmed": self.is_confirmed}
        return {"named": [*self.named], "over": {**self.over}, **shown}


def believe(
    verdicts: Iterable[Verdict],
    *,
    before: Mapping[str, Any] | None,
    earlier: Sequence[float | None],
    silent: Mapping[str, float],
) -> Belief | None:
    """What follows from the newest verdicts; None = there is no e-process.

    `before`: what was believed of the incident. `earlier`: of each epoch before this one, in order, the most that its mean was (log10) at
    an alarm; None = it had no incident. `silent`: subjects of the incident that do not alarm now -> when they last did.
    """
    found: dict[str, list[EValue]] = {}
    for v in verdicts:
        if (e := _e_process(v)) is not None:
            found.setdefault(v.subject, []).append(e)
    if not found:
        return None
    evidence = [mean_e_value(of_one) for of_one in found.values()]
    is_named = e_bh(evidence, DISCOVERIES)
    now = max(mean_e_value(evidence).log10_e, before["log10_e"] if before is not None else -math.inf)
    stream = [_of_epoch(log10_e) for log10_e in [*earlier, now]]
    named = tuple(subject for subject, named in zip(found, is_named, strict=True) if named)
    ever = {*named, *(before["named"] if before is not None else ()), *(before.get("over", ()) if before is not None else ())}
    return Belief(
        named=named,
        over={subject: at for subject, at in silent.items() if subject in ever},
        log10_e=now,
        needed=-math.log10(e_lond_levels(stream, DISCOVERIES)[-1]),
        is_confirmed=bool(e_lond(stream, DISCOVERIES)[-1]),
    )


def in_words(said: Mapping[str, Any]) -> list[str]:
    """What people are told of it, a sentence each."""
    if said["is_confirmed"]:
        sure = "Confirmed: something has changed since the epoch began (of all epochs so confirmed at most one in ten falsely)."
    else:
        evidence = f"log10 evidence {said['log10_e']:.1f} over everything watched, {said['needed']:.1f} would confirm it"
        sure = f"Not confirmed yet: {evidence}. It may be one of the false alarms that the settings allow."
    over: Mapping[str, float] = said.get("over", {})  # events of an older release have none
    lines = [sure]
    if named := [subject for subject in said["named"] if subject not in over]:
        lines.append(f"Surely changed (at most one in ten named falsely): {listed(named)}.")
    if over:
        since = [f"{subject} since {when(over[subject])}" for subject in sorted(over, key=is_of_segment)]
        lines.append(f"Changed, and over: {listed(since)}.")
    return lines


def _e_process(verdict: Verdict) -> EValue | None:
    """The one beside an e-detector, or its own evidence; e-detectors themselves are never handed on."""
    return verdict.e_value or (verdict.evidence if isinstance(verdict.evidence, EValue) else None)


def _of_epoch(log10_e: float | None) -> EValue:
    return EValue(log10_e=-300.0 if log10_e is None else log10_e, alpha=DISCOVERIES)
