"""What an incident means: harmful, benign or unknown, by which kind of shift, with the evidence in words. Pure.

Harm is judged by labels of records since the incident opened, never by drift alone: a drift alarm says that traffic differs, and most
differences do a model no harm. Benign needs proof as harm does: the upper end of a confidence sequence of the loss below what the source
bound plus the tolerance allows. [Podkopaev & Ramdas 2022, arXiv:2110.06177: tracking the risk, not the drift]
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from daemon.decide.incident import AlarmKind
from detectors.sequential.interval import share_sequence

if TYPE_CHECKING:
    from collections.abc import Mapping

ALPHA = 0.01
"""P(ever a benign word about a harmful shift), while the loss since the opening stays the same."""


class Harm(StrEnum):
    """Whether the model got worse."""

    HARMFUL = "harmful"
    """An alarm about loss or performance is part of the incident."""
    BENIGN = "benign"
    """Traffic drifted, and labels since then prove that the loss is still within its bound."""
    UNKNOWN = "unknown"
    """Neither is proven."""


class Shift(StrEnum):
    """What changed."""

    COVARIATE = "covariate"
    """The inputs, and what is right for them not."""
    CONCEPT = "concept"
    """What is right for the same inputs."""
    LABEL = "label"
    """How often each class comes."""
    DAMAGE = "damage"
    """The data came damaged."""
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """Labelled records since the incident opened, and what their loss is held to."""

    n: int = 0
    errors_n: int = 0
    limit: float | None = None
    """Source bound plus tolerance, as the `risk` detector has it; None = there is none."""


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """What is said of an incident."""

    harm: Harm
    shift: Shift
    because: str


def diagnose(subjects: Mapping[str, Mapping[str, Any]], labelled: Labelled, *, priors_moved: bool = False) -> Diagnosis:
    """`subjects`: as the incident holds them; `priors_moved`: `label_shift` says that the classes' shares have."""
    kinds = {s["kind"] for s in subjects.values()}
    harm, why = _harm(kinds, labelled)
    shift, what = _shift(kinds, subjects, harm, priors_moved=priors_moved)
    return Diagnosis(harm=harm, shift=shift, because=f"{why}; {what}")


def _harm(kinds: set[str], labelled: Labelled) -> tuple[Harm, str]:
    low, high = share_sequence(labelled.errors_n, labelled.n, ALPHA)
    seen = f"{labelled.errors_n} of {labelled.n} labelled records since the opening were wrong, a loss between {low:.3f} and {high:.3f}"
    if kinds & {AlarmKind.RISK, AlarmKind.PERFORMANCE}:
        return Harm.HARMFUL, f"the model is wrong more often: {'loss' if AlarmKind.RISK in kinds else 'performance'} alarms ({seen})"
    if labelled.limit is None:
        return Harm.UNKNOWN, "no bound on the source loss is known (reference.bound), so labels cannot prove or disprove harm"
    if AlarmKind.DRIFT in kinds and high < labelled.limit:
        return Harm.BENIGN, f"{seen}: below the {labelled.limit:.3f} that the bound and its tolerance allow"
    return Harm.UNKNOWN, f"{seen}; the bound and its tolerance allow {labelled.limit:.3f}: more labels will tell"


def _shift(kinds: set[str], subjects: Mapping[str, Mapping[str, Any]], harm: Harm, *, priors_moved: bool) -> tuple[Shift, str]:
    drifted = [str(s["subject"]) for s in subjects.values() if s["kind"] == AlarmKind.DRIFT]
    inputs = sorted({subject for subject in drifted if not subject.startswith("output.")})
    if AlarmKind.QUALITY in kinds:
        return Shift.DAMAGE, "data come damaged, which comes before any other cause"
    if inputs and priors_moved:
        return Shift.LABEL, "the shares of the classes moved, which explains the inputs as long as those within a class stayed as they were"
    if inputs and harm is Harm.BENIGN:
        return Shift.COVARIATE, f"inputs moved ({', '.join(inputs)}) and what is right for them did not"
    if harm is Harm.HARMFUL and not drifted:
        return Shift.CONCEPT, "neither inputs nor answers moved, so what is right for the same inputs did"
    if inputs and harm is Harm.HARMFUL:
        return Shift.UNKNOWN, f"inputs moved too ({', '.join(inputs)}): whether what is right for them moved as well is not told apart"
    return Shift.UNKNOWN, "what changed is not known" if drifted else "no column has drifted"
