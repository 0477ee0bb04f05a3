"""What is seen of labelled records: floors, ceilings, risk, ROC AUC."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from daemon.watched.seen.day import Soon, nothing, seen
from detectors.sequential.auc_floor import AucFloor
from detectors.sequential.ceiling import Ceiling
from detectors.sequential.floor import Floor, LabelFloor
from detectors.sequential.growth import smallest_growth, smallest_rise
from detectors.sequential.loss import Loss, usable
from detectors.sequential.share import NO_LIMIT
from detectors.types import EValue

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from daemon.watched.seen.day import Day
    from detectors.sequential.share import ShareState
    from detectors.types import Reference

    Floats = NDArray[np.float64]

ROWS_N = 2000
"""Of the bound rows say enough of what losses and scores look like."""
UNKNOWN = "it needs labels, and how many a day brings is not known (--labels-per-day N)"
NONE_COUNTS = "no labelled bound row counts for it"
NO_ROOM = "labelled bound rows are too few, or without scores: no limit can be set"


def of_limit(d: Any, state: ShareState, reference: Reference, day: Day) -> Soon:  # noqa: ANN401 (a floor, a ceiling, a risk)
    """A mean loss that is held to a limit. An e-process has its whole wealth on the first day of an epoch only."""
    if state.limit == NO_LIMIT:
        return nothing(d, NO_ROOM)
    if day.labels_n is None:
        return nothing(d, UNKNOWN)
    if not (counting := _counting(d, reference)):
        return nothing(d, NONE_COUNTS)
    alpha = d.alpha - d.delta if d.evidence is EValue else d.alpha
    n = counting * (day.labels_n if isinstance(d, AucFloor) else day.even_n(d.most_weight))
    limit, losses = _figure(d, state.clip, state.limit), _losses(d, state, reference)

    def smallest(times: float) -> float:
        if len(losses):
            loss = smallest_growth(losses, alpha=alpha, limit=state.limit, n=times * n)
        else:
            hours = ((state.limit, 1.0),) if state.hours is None else state.hours.each
            loss = smallest_rise(alpha=alpha, hours=tuple((m, times * n * part) for m, part in hours))
        if isinstance(d, AucFloor) and loss > 0.5:  # noqa: PLR2004 (a model that ranks by chance: nobody asks for worse)
            return math.inf
        return loss if math.isinf(loss) else _figure(d, state.clip, min(loss, 1.0))

    def says(now: float) -> str:
        word, name = ("falls", "floor") if now < limit else ("rises", "limit")
        return f"it {word} to {now:.3g} ({name} {limit:.3g}{'' if state.hours is None else ' in the mean of the hours'})"

    return seen(d, smallest, says, n=day.labels_n, unit="labels", never=f"its limit, {limit:.3g}, leaves no room")


def _losses(d: Any, state: ShareState, reference: Reference) -> Floats:  # noqa: ANN401
    """Of the bound rows, in [0, 1], where they are not errors alone; none where they are, or where nobody has any."""
    loss = getattr(d, "loss", Loss.ERROR)
    if loss is Loss.ERROR:
        return np.zeros(0)
    kept = reference.bound if not hasattr(d, "kept") else d.kept(reference.bound)
    return usable(kept, loss, getattr(d, "classes", ()), clip=state.clip, most_weight=1.0).x[:ROWS_N]


def _figure(d: Any, clip: float, loss: float) -> float:  # noqa: ANN401
    """What a person knows, of a mean loss in [0, 1]."""
    if isinstance(d, AucFloor):
        return 1.0 - loss
    if isinstance(d, Floor):
        return float(d.metric_at(1.0 - loss))
    return float(d.shown(clip * loss) if isinstance(d, Ceiling) else clip * loss)


def _counting(d: Any, reference: Reference) -> float:  # noqa: ANN401
    """Share of labels that count for the figure (of a ROC AUC: pairs of labels), of a segment at its share of the traffic."""
    within = getattr(d, "within", None)
    share = 1.0 if within is None else within.share(reference.columns)
    if not isinstance(d, LabelFloor | AucFloor):
        return float(share)
    bound = d.kept(reference.bound)
    if isinstance(d, AucFloor):
        rate = _share_of(d.label, bound.label if bound.n else reference.columns.get("output.label"))
        return float(share * min(rate, 1.0 - rate))
    return float(share * (d.counts(bound).mean() if bound.n else _supposed(d, reference)))


def _supposed(d: LabelFloor, reference: Reference) -> float:
    """Without bound rows: labels come as often as answers do; of an F1 at its floor as many are missed as are falsely given."""
    rate = _share_of(d.label, reference.columns.get("output.label"))
    return min(1.0, rate * (2.0 - (d.minimum or 0.0))) if d.metric == "f1" else rate


def _share_of(label: str, found: Any) -> float:  # noqa: ANN401 (labels, shape (n,), or None)
    """Of one class; one half where nothing is known."""
    return 0.5 if found is None or not len(found) else float(np.mean(found == label))
