"""What labelled records say of the cause: what is right for the same inputs has changed, or the inputs alone explain the errors. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from detectors.types import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping

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


def explained(latest: Mapping[str, Verdict], *, labelled: Labelled, tolerance: float, before: str | None = None) -> Explained:
    """From the newest verdicts of the detectors that explain, by name.

    `labelled`: records since the incident opened; `tolerance`: extra loss that is no harm; `before`: the sentence on concept that was said
    of this incident before: it stands, for what nobody acts on becomes the past of exact ranks.
    """
    labels, classes = latest.get("conformal_given_inputs"), latest.get("conformal_given_classes")
    if labels is None or classes is None:
        return Explained(concept=before)
    if labels.outcome is Outcome.ALARM and classes.outcome is Outcome.ALARM:
        return Explained(concept=f"{labels.because}; {classes.because}")
    if before is not None:
        return Explained(concept=before)
    if labels.outcome is Outcome.ALARM:
        return Explained(open=f"{labels.because}; whether by the shares of the classes alone is not told apart: {classes.because}")
    rise = labelled.errors_n / labelled.n - labelled.limit + tolerance if labelled.n and labelled.limit is not None else 0.0
    if labels.outcome is Outcome.OK and labels.high < max(tolerance, 0.5 * rise) and labelled.n >= labels.n:
        return Explained(by_inputs=f"loss rose by {rise:.3f}, and {labels.because}")
    return Explained(open=labels.because)
