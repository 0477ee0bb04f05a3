"""What labelled records say of the cause: what is right for the same inputs has changed, or the inputs alone explain the errors. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from daemon.decide.labelled import named
from detectors.sequential.loss import Loss
from detectors.types import Outcome

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from daemon.decide.labelled import Labelled
    from detectors.types import Verdict


@dataclass(frozen=True, kw_only=True)
class Explained:
    """Sentences, or None where it is not so; at most one of them is set."""

    concept: str | None = None
    """What is right for the same inputs has changed, and not by the shares of the classes alone."""
    by_inputs: str | None = None
    """The inputs surely explain most of the errors that came to those of before."""
    open: str | None = None
    """Why neither can be said."""


def explained(
    latest: Mapping[str, Verdict], *, labelled: Labelled, tolerance: float, before: str | None = None, unread: Collection[str] = ()
) -> Explained:
    """From the newest verdicts of the detectors that explain, by name.

    `labelled`: records since the incident opened; `tolerance`: extra loss that is no harm, as the settings say it; `before`: the sentence
    on concept that was said of this incident before: it stands, for what nobody acts on becomes the past of exact ranks. `unread`: inputs
    that moved and that the comparison cannot read.
    """
    found = _found(latest, labelled, tolerance, unread)
    return Explained(concept=before) if before is not None and found.concept is None else found


def _found(latest: Mapping[str, Verdict], labelled: Labelled, tolerance: float, unread: Collection[str]) -> Explained:
    """Whatever was said before."""
    labels, classes = latest.get(named("conformal_given_inputs", labelled.loss)), latest.get("conformal_given_classes")
    if labels is None or (classes is None and labelled.loss is Loss.ERROR):
        return Explained()
    hidden = unread if labelled.loss is Loss.QUALITY else ()
    if labels.outcome is Outcome.ALARM:
        return _by_labels(labels, classes, hidden)
    if labels.outcome is Outcome.OK and labelled.n >= labels.n and not hidden:
        return _by_inputs(labels, labelled, tolerance)
    return Explained(open=labels.because)


def _by_labels(labels: Verdict, classes: Verdict | None, unread: Collection[str]) -> Explained:
    """Moved inputs that are read do not explain what is right for them."""
    if unread:
        return Explained(open=f"{labels.because}; but {', '.join(sorted(unread))} moved, of which only the length is compared")
    if classes is None or classes.outcome is Outcome.ALARM:
        return Explained(concept=labels.because if classes is None else f"{labels.because}; {classes.because}")
    return Explained(open=f"{labels.because}; whether by the shares of the classes alone is not told apart: {classes.because}")


def _by_inputs(labels: Verdict, labelled: Labelled, tolerance: float) -> Explained:
    """Whether moved inputs surely explain most of the rise of the loss, in its own unit."""
    limit, rise = labelled.limit, 0.0
    harmless = tolerance if labelled.loss.is_bounded else labelled.clip * (limit or 0.0) * tolerance / (1.0 + tolerance)
    if limit is not None and labelled.n:
        rise = labelled.clip * (labelled.errors_n / labelled.n - limit) + harmless
    if labels.high < max(harmless, 0.5 * rise):
        return Explained(by_inputs=f"loss rose by {rise:.3{'f' if labelled.loss.is_bounded else 'g'}}, and {labels.because}")
    return Explained(open=labels.because)
