"""What each alarm is expected to see within a day at the model's traffic: the smallest change, or why there is none that it sees."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from daemon.settings_encoder import SUFFIX
from daemon.watched.seen.answers import of_calibration, of_judged, of_predicted
from daemon.watched.seen.columns import of_category, of_fault, of_number, of_text_figures, of_witness
from daemon.watched.seen.day import nothing
from daemon.watched.seen.groups import of_gap, of_ratio
from daemon.watched.seen.labels import of_limit
from daemon.watched.seen.losses import of_rise
from daemon.watched.seen.residuals import of_residual
from detectors.quality.fault import Rise
from detectors.sequential.auc_floor import AucFloor
from detectors.sequential.between import Between
from detectors.sequential.calibration_change import CalibrationChange
from detectors.sequential.column_of_segment import ColumnOfSegment
from detectors.sequential.conformal_category import ConformalCategory
from detectors.sequential.conformal_numeric import ConformalNumeric
from detectors.sequential.conformal_residual import ConformalResidual
from detectors.sequential.domain_classifier import DomainClassifier
from detectors.sequential.embedding_witness import POOLS_ROWS_N, EmbeddingWitness
from detectors.sequential.fairness_ratio import FairnessRatio
from detectors.sequential.ppi_floor import PpiFloor
from detectors.sequential.ppi_score_floor import PpiScoreFloor
from detectors.sequential.risk_rise import RiskRise
from detectors.sequential.share import ShareState
from detectors.sequential.text_figures import TextFigures
from detectors.sequential.text_witness import TextWitness

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from daemon.watched.seen.day import Day, Soon
    from detectors.types import Detector, Reference


def soon_seen(detectors: Iterable[Detector], reference: Reference, day: Day) -> list[Soon]:
    """One for each detector that alarms.

    `reference`: as far as it is known now: columns that stand for it, labelled bound rows.
    """
    return [_soon(d, reference, day) for d in detectors]


def _soon(d: Any, reference: Reference, day: Day) -> Soon:  # noqa: ANN401 (a detector of any kind)
    if not isinstance(d, ColumnOfSegment):
        return _of(d, d.start(reference), reference, day)
    share = d.within.share(reference.columns)
    return _of(d, d.start(reference), reference, day.part(share)) if share else nothing(d, "the reference has no row of it")


def _of(d: Any, state: Any, reference: Reference, day: Day) -> Soon:  # noqa: ANN401 (as above, and its state)
    for kind, found in _BY_KIND:
        if isinstance(d, kind):
            return found(d, state, reference, day)
    return of_limit(d, state, reference, day) if isinstance(state, ShareState) else replace(nothing(d, ""), says=_UNKNOWN)


def _embedded(d: EmbeddingWitness) -> list[str]:
    """The vectors' column, or the texts' that the service makes vectors of later."""
    return [d.column, d.column.removesuffix(SUFFIX)]


def _of_vectors(d: EmbeddingWitness, reference: Reference, day: Day) -> Soon:
    return of_witness(d, reference, day, columns=_embedded(d), what=("vector", "vectors"), pools=POOLS_ROWS_N)


_UNKNOWN = "not known: it is a plug-in's"
_BY_KIND: tuple[tuple[type[Any], Callable[[Any, Any, Reference, Day], Soon]], ...] = (
    (ConformalNumeric, lambda d, state, _, day: of_number(d, state, day)),
    (ConformalCategory, lambda d, state, _, day: of_category(d, state, day)),
    (TextFigures, lambda d, state, _, day: of_text_figures(d, state, day)),
    (TextWitness, lambda d, _, reference, day: of_witness(d, reference, day, columns=[d.column], what=("text", "texts"))),
    (EmbeddingWitness, lambda d, _, reference, day: _of_vectors(d, reference, day)),
    (
        DomainClassifier,
        lambda d, _, reference, day: of_witness(d, reference, day, columns=d.columns, what=("record", "records"), stake=0.5),
    ),
    (Rise, lambda d, state, _, day: of_fault(d, state, day)),
    (FairnessRatio, lambda d, _, reference, day: of_ratio(d, reference, day)),
    (Between, of_gap),
    (CalibrationChange, of_calibration),
    (PpiFloor, of_predicted),
    (RiskRise, of_rise),
    (ConformalResidual, lambda d, state, _, day: of_residual(d, state, day)),
    (AucFloor, lambda d, state, reference, day: of_limit(d, state.share, reference, day)),
    (PpiScoreFloor, of_judged),
)
"""The first that fits; what is left holds a mean loss to a limit: floors, ceilings, risk."""
