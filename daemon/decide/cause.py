"""What an incident means: harmful, benign, likely harmful or unknown, by which kind of shift, with the evidence in words. Pure.

Harm is judged by labels of records since the incident opened, never by drift alone: a drift alarm says that traffic differs, and most
differences do a model no harm. Benign needs proof as harm does: the upper end of a confidence sequence of the loss below what the source
bound plus the tolerance allows. [Podkopaev & Ramdas 2022, arXiv:2110.06177: tracking the risk, not the drift]
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from daemon.decide.explained import Explained
from daemon.decide.incident import AlarmKind
from daemon.decide.names import listed
from detectors.sequential.loss import Loss

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from daemon.decide.classes import Classes
    from daemon.decide.labelled import Labelled

_NOTHING_EXPLAINED = Explained()


class Harm(StrEnum):
    """Whether the model got worse."""

    HARMFUL = "harmful"
    """An alarm about loss or performance is part of the incident."""
    BENIGN = "benign"
    """Traffic drifted and nothing else alarms, and labels since then prove that the loss is still within its bound."""
    LIKELY = "likely"
    """Neither is proven; records of the kind that the model is wrong about came more often, so that it likely does harm."""
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
class Diagnosis:
    """What is said of an incident."""

    harm: Harm
    shift: Shift
    because: str


def diagnose(
    subjects: Mapping[str, Mapping[str, Any]],
    labelled: Labelled,
    *,
    quiet_n: int = 0,
    priors_moved: bool = False,
    classes: Classes | None = None,
    explained: Explained = _NOTHING_EXPLAINED,
    likely: str | None = None,
    within: Sequence[str] = (),
) -> Diagnosis:
    """What is said.

    `subjects`: as the incident holds them. `quiet_n`: drift monitors of inputs that have data and nothing to say. `priors_moved`: says
    `label_shift`. `classes`: shares, and answers within each, by labels. `explained`: what weighted martingales say of labelled records.
    `likely`: what speaks for harm without labels. `within`: what moved in segments and not in the whole: labels of all records do
    not acquit it.
    """
    kinds = {s["kind"] for s in subjects.values()}
    harm, why = _harm(kinds, labelled, within)
    is_fine = _is_within_bound(kinds, labelled)
    if harm is Harm.UNKNOWN and likely is not None and not is_fine:
        harm, why = Harm.LIKELY, f"{likely} (no proof: labels have yet to say so; {why})"
    shares = _by_shares(classes, priors_moved=priors_moved and bool(moved_inputs(subjects)) and explained.concept is None)
    if shares and AlarmKind.QUALITY not in kinds:
        shift, what = Shift.LABEL, shares
    else:
        shift, what = _shift(kinds, subjects, harm, quiet_n, explained, is_fine=is_fine and not within)
    return Diagnosis(harm=harm, shift=shift, because=f"{why}; {what}")


def _harm(kinds: set[str], labelled: Labelled, within: Sequence[str]) -> tuple[Harm, str]:
    seen = labelled.told()
    if kinds & {AlarmKind.RISK, AlarmKind.PERFORMANCE}:
        return Harm.HARMFUL, f"{_worse(labelled)}: {'loss' if AlarmKind.RISK in kinds else 'performance'} alarms ({seen})"
    if labelled.limit is None:
        what = "share of wrong classes" if labelled.squares is None else "loss"
        return Harm.UNKNOWN, f"no bound on the {what} is known (reference.bound), so labels cannot prove or disprove harm"
    allowed = labelled.allowed()
    if not _is_within_bound(kinds, labelled):
        return Harm.UNKNOWN, f"{seen}; the bound and its tolerance allow {allowed}: {_missing(labelled)}"
    why = f"{seen}: below the {allowed} that the bound and its tolerance allow"
    others = sorted(kinds - {AlarmKind.DRIFT})
    if others:
        return Harm.UNKNOWN, f"{why}, but {' and '.join(others)} alarms too, of which the loss says nothing"
    return (Harm.UNKNOWN, f"{why}, over all records; not proven for {listed(within)}") if within else (Harm.BENIGN, why)


def _is_within_bound(kinds: set[str], labelled: Labelled) -> bool:
    """Traffic drifted and the loss is proven to be what it may be."""
    return AlarmKind.DRIFT in kinds and labelled.limit is not None and labelled.bounds[1] < labelled.limit


def _worse(labelled: Labelled) -> str:
    if labelled.loss is Loss.ERROR:
        return "the model is wrong more often"
    return "its answers are judged worse" if labelled.loss is Loss.QUALITY else "the model is further off"


def _missing(labelled: Labelled) -> str:
    """How many more labels would prove that it does no harm, if their loss is as so far."""
    needed = labelled.needed()
    if needed is None:
        return "so high a loss is proven neither harmful nor benign yet"
    least = "at the least, without one error" if not labelled.errors_n else "at the loss so far"
    return f"{max(1, needed - labelled.n)} more labels of records since the opening are missing ({least})"


def moved_inputs(subjects: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Subjects of drift that are not the model's own answers."""
    return sorted({str(s["subject"]) for s in subjects.values() if s["kind"] == AlarmKind.DRIFT and is_input(str(s["subject"]))})


def of_answers(subjects: Mapping[str, Mapping[str, Any]], judge: str | None) -> dict[str, Mapping[str, Any]]:
    """The same, where what a judge says of all answers (`ModelSettings.judge`, in segments, too) is told as theirs and is no input."""
    if judge is None:
        return dict(subjects)
    theirs = {key for key, s in subjects.items() if str(s["subject"]).split("[", 1)[0] == judge}
    return {k: {**s, "subject": f"output.{str(s['subject']).split('.', 1)[1]}"} if k in theirs else s for k, s in subjects.items()}


def is_input(subject: str) -> bool:
    """Whether it is not the model's own answer."""
    return not subject.startswith("output.")


def _shift(
    kinds: set[str], subjects: Mapping[str, Mapping[str, Any]], harm: Harm, quiet_n: int, explained: Explained, *, is_fine: bool
) -> tuple[Shift, str]:
    inputs, has_drift = moved_inputs(subjects), AlarmKind.DRIFT in kinds
    is_off = harm is Harm.HARMFUL or AlarmKind.BIAS in kinds
    if AlarmKind.QUALITY in kinds:
        return Shift.DAMAGE, "data come damaged, which comes before any other cause"
    if explained.concept is not None:
        return Shift.CONCEPT, explained.concept
    if inputs and is_fine and AlarmKind.BIAS not in kinds:
        return Shift.COVARIATE, f"inputs moved ({listed(inputs)}) and what is right for them did not"
    if is_off and not has_drift and quiet_n:
        return Shift.CONCEPT, f"nothing moved that the {quiet_n} drift monitors of inputs watch, so what is right for the same inputs did"
    if inputs and is_off:
        return _of_both(listed(inputs), explained)
    return Shift.UNKNOWN, "what changed is not known" if has_drift else "no column has drifted, as far as any is watched"


def _of_both(inputs: str, explained: Explained) -> tuple[Shift, str]:
    """The model is wrong more often, or off to one side, and its inputs moved."""
    if explained.by_inputs is not None:
        return Shift.COVARIATE, f"inputs moved ({inputs}) to where the model was wrong before: {explained.by_inputs}"
    why = f" ({explained.open})" if explained.open is not None else ""
    return Shift.UNKNOWN, f"inputs moved too ({inputs}): whether what is right for them moved as well is not told apart{why}"


def _by_shares(classes: Classes | None, *, priors_moved: bool) -> str | None:
    """Why moved shares of the classes explain the rest; None = they do not, or nothing says so."""
    if classes is not None and classes.moved and classes.is_stable:
        return f"the shares of the classes moved and the answers within each did not: {classes.because}"
    if priors_moved and (classes is None or not classes.is_changed):
        return "the shares of the classes moved, which explains the inputs as long as those within a class stayed as they were"
    return None
