"""What evidence is worth at the boundary of its null: in the mean no more than promised, at every pane.

An e-detector that began n panes ago has E[M_n] <= n, an e-process E[e_n] <= 1 [Shin, Ramdas & Rinaldo 2022, arXiv:2203.03532]. At the
boundary of its null an honest one keeps little room below that, and evidence that is counted twice, or that knows the pane that it bets on,
is above it after a few panes: a few hundred short streams show it. Run lengths get shorter by it, and may still be as long as promised:
most detectors keep room there, and chance asks for more with few long streams.

Panes have few records, so that the tail of the evidence is light; a bound that is made of the reference fails with a chance of one in a
million. The evidence stays capped as it is: that only lowers the mean.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from detectors import registry
from detectors.examples import Records, class_names, one_input, part, records, reference_of
from detectors.quality.repeats import MEMORY_N
from detectors.sequential.share import ShareState
from detectors.sketches.records import CONTENT
from detectors.types import Detector, EDetectorValue, EValue, Increment, Pairs, Reference, Score, Verdict
from tests.prove.limits import LOG_FLAKE
from tests.prove.worlds import taken, together

Floats = NDArray[np.float64]
Index = NDArray[np.int64]

PANES_N, PANE_N, REFERENCE_N, POOL_N = 3, 2, 200, 400
LEARNT_N, LEAD_N = 1000, 40
"""Reference rows of what learns, and rows that it learns from before it bets; then its panes have one."""
_RATES = {"alpha": 0.01, "delta": 1e-6}
_STAKES = 0.98 * 0.7 ** np.arange(16.0)
_LEAST_OF_TWO = (
    "the evidence is the least over all means that the two groups may have: worth .3 and less at its boundary, and less than 1 when it is "
    "counted twice; but it then speaks of twice as many records as came"
)
COUNTED = dict.fromkeys(("fairness_calibration_gap", "fairness_gap", "fairness_ratio", "fairness_score_gap"), _LEAST_OF_TWO)
"""Detectors of which the mean does not show that evidence is counted twice, and why."""


class Stream(NamedTuple):
    """A detector about to bet, and what it bets on."""

    state: Any
    panes: list[Increment]


Streams = Callable[[int], Stream]
"""By number; independent of each other, given what all of them share."""


class Steps(Protocol):
    """A detector, or one that was spoilt."""

    def step(self, state: Any, data: Any) -> tuple[Any, Verdict]: ...


class Worth(NamedTuple):
    """Of each stream, shape (n,), averaged over its panes; in the mean at most 1."""

    evidence: Floats
    """Over the number of panes, of an e-detector."""
    beside: Floats
    """The e-value that an e-detector keeps beside it; 1 where there is none."""

    @property
    def least(self) -> float:
        """What the mean of either is at least."""
        return max(least_mean(self.evidence), least_mean(self.beside))


def worth(detector: Steps, streams: Iterable[Stream]) -> Worth:
    found = []
    for state, panes in streams:
        verdicts, at = [], state
        for data in panes:
            at, verdict = detector.step(at, data)
            verdicts.append(verdict)
        evidence = np.mean([_over_promise(verdict, t) for t, verdict in enumerate(verdicts, start=1)])
        beside = np.mean([1.0 if v.e_value is None else 10.0**v.e_value.log10_e for v in verdicts])
        found.append((evidence, beside))
    return Worth(*np.array(found, dtype=np.float64).T)


def _over_promise(verdict: Verdict, panes_n: int) -> float:
    """An e-process begins at 1; an e-detector, of which a Score may be the evidence as well, at nothing."""
    match verdict.evidence:
        case EValue(log10_e=log10_e):
            return float(10.0**log10_e)
        case EDetectorValue(log10_e=log10_e) | Score(distance=log10_e):
            return float(10.0**log10_e) / panes_n if verdict.n else 0.0
    raise AssertionError(f"{verdict.detector} gives {verdict.evidence}")


def least_mean(x: Floats) -> float:
    """What the mean of independent values x >= 0 is at least, wrong with the flake probability at most, whatever their distribution.

    The largest m that the bets prod 1 + s (x / m - 1) refute: while the mean is at most m, theirs over a fixed grid of stakes is at most 1
    (Markov) [Waudby-Smith & Ramdas 2024, arXiv:2010.09686].
    """
    low, high = 0.0, float(x.mean())
    for _ in range(40):
        m = 0.5 * (low + high)
        log_e = np.log1p(_STAKES[:, None] * (x / m - 1.0)).sum(axis=1) if m > 0.0 else np.full(len(_STAKES), np.inf)
        is_refuted = np.logaddexp.reduce(log_e) - math.log(len(_STAKES)) >= -LOG_FLAKE
        low, high = (m, high) if is_refuted else (low, m)
    return low


def placed(name: str) -> tuple[Detector, Streams]:
    """The detector and its streams at the boundary; one that nothing is known of: where its reference is from."""
    detector: Any = registry.detector_class(name).example()
    settings: dict[str, Any] = {**_RATES, "min_n": 1 if name in COUNTED else 8, **_SETTINGS.get(name, {})}
    detector = dataclasses.replace(detector, **{key: value for key, value in settings.items() if hasattr(detector, key)})
    return detector, _PLACES.get(name, like_the_reference)(detector)


def like_the_reference(detector: Detector) -> Streams:
    """Rows and reference are exchangeable; each stream has a reference of its own, as exact ranks are uniform over references."""

    def stream(seed: int) -> Stream:
        rows = records(detector, REFERENCE_N + PANES_N * PANE_N, seed=seed)
        reference = reference_of(detector, part(rows, 0, REFERENCE_N))
        return Stream(detector.start(reference), _panes(detector, part(rows, REFERENCE_N, rows.n), reference, seed))

    return stream


def after_learning(detector: Detector) -> Streams:
    """The same after one pane to learn from; what was learnt is held to a bound, which fails with delta, so all streams share it.

    What needs no learning has not bet on that pane either.
    """
    rows = records(detector, LEARNT_N + LEAD_N, seed=0)
    reference = reference_of(detector, part(rows, 0, LEARNT_N))
    begun: Any = detector.start(reference)
    state, verdict = detector.step(begun, one_input(detector, part(rows, LEARNT_N, rows.n), reference))
    if hasattr(begun, "distance"):
        state = dataclasses.replace(state, distance=begun.distance)
    else:
        assert verdict.n == 0

    def stream(seed: int) -> Stream:
        return Stream(state, _panes(detector, records(detector, PANES_N, seed=seed + 1), reference, seed, 1))

    return stream


def at_its_limit(detector: Detector, unit_n: int = 1, *, is_paired: bool = False, lead_n: int = 0) -> Streams:
    """Rows of which the mean loss is the limit that the detector holds, as the detector itself counts losses.

    `unit_n`: rows that make one loss; `is_paired`: these are one of each class. `lead_n`: records that come before the first label.
    """
    reference = reference_of(detector, records(detector, REFERENCE_N, seed=0))
    pool = together(*(dataclasses.replace(records(detector, POOL_N, seed=1, is_shifted=x), is_shifted=False) for x in (False, True)))
    units = _units(pool, detector, unit_n, is_paired=is_paired)
    state = detector.start(reference)
    losses = [_loss(detector, state, _pane(detector, taken(pool, unit), reference, 0)) for unit in units]
    counted = [(unit, loss) for unit, loss in zip(units, losses, strict=True) if loss is not None]
    x, limit = np.array([loss for _, loss in counted]), _share(state).limit
    is_over = x > limit
    over = (limit - x[~is_over].mean()) / (x[is_over].mean() - x[~is_over].mean())  # chance of a loss above the limit

    def stream(seed: int) -> Stream:
        rng = np.random.default_rng([seed, 9])
        chosen = [
            counted[rng.choice(np.flatnonzero(is_over if rng.random() < over else ~is_over))][0] for _ in range(lead_n + PANES_N * PANE_N)
        ]
        rows = taken(pool, np.concatenate(chosen))
        if not lead_n:
            return Stream(state, _panes(detector, rows, reference, seed, PANE_N * unit_n))
        lead = dataclasses.replace(_pane(detector, part(rows, 0, lead_n), reference, _minute(seed, 0)), pairs=Pairs.empty())
        panes = _panes(detector, part(rows, lead_n, rows.n), reference, seed)
        return Stream(detector.step(state, lead)[0], [dataclasses.replace(pane, columns={}, n=0) for pane in panes])

    return stream


def repeating_at_the_limit(detector: Detector) -> Streams:
    """Each record has the content of the one before it with the chance that the detector holds; panes that outlast its memory twice."""
    reference = reference_of(detector, records(detector, REFERENCE_N, seed=0))
    state = detector.start(reference)

    def stream(seed: int) -> Stream:
        rng, size = np.random.default_rng([seed, 10]), 2 * (MEMORY_N + 1)
        rows = records(detector, PANES_N * size, seed=seed + 1)
        sent = np.arange(rows.n)
        sent[1:][rng.random(rows.n - 1) < _share(state).limit] = -1
        contents = rows.columns[CONTENT][np.maximum.accumulate(sent)]
        return Stream(
            state, _panes(detector, dataclasses.replace(rows, columns={**rows.columns, CONTENT: contents}), reference, seed, size)
        )

    return stream


def _units(pool: Records, detector: Detector, unit_n: int, *, is_paired: bool) -> list[Index]:
    if is_paired:
        is_hit = pool.pairs.label == class_names(detector)[1]
        return [np.array(both) for both in zip(np.flatnonzero(is_hit), np.flatnonzero(~is_hit), strict=False)]
    return list(np.arange(pool.n - pool.n % unit_n).reshape(-1, unit_n))


def _loss(detector: Detector, state: Any, data: Increment) -> float | None:
    """As the detector counts it, in [0, 1]; None = it does not count."""
    share = _share(detector.step(state, data)[0])
    return share.errors_n / share.n if share.n else None


def _share(state: Any) -> ShareState:
    found: ShareState = getattr(state, "share", state)
    return found


def as_sure_as_allowed(detector: Detector) -> Streams:
    """Answers are right more often than their confidence says by as much as the narrowest of the intervals allows."""
    reference = reference_of(detector, records(detector, REFERENCE_N, seed=0))
    state: Any = detector.start(reference)
    more, names = float(state.high.min()), np.array(class_names(detector), dtype=object)

    def stream(seed: int) -> Stream:
        rng = np.random.default_rng([seed, 10])
        n = PANES_N * PANE_N
        predicted, sure = rng.integers(0, 2, n), rng.uniform(0.5, 1.0 - more, n)
        scores = np.where(np.arange(2) == predicted[:, None], sure[:, None], 1.0 - sure[:, None])
        is_right = rng.random(n) < sure + more
        pairs = Pairs(predicted=names[predicted], label=names[np.where(is_right, predicted, 1 - predicted)], scores=scores)
        return Stream(state, _panes(detector, Records(columns={}, pairs=pairs, n=n), reference, seed))

    return stream


def _panes(detector: Detector, rows: Records, reference: Reference, seed: int, size: int = PANE_N) -> list[Increment]:
    return [_pane(detector, part(rows, i * size, (i + 1) * size), reference, _minute(seed, i + 1)) for i in range(rows.n // size)]


def _minute(seed: int, i: int) -> int:
    """None comes twice: the uniforms that ranks are drawn with are the minute's."""
    return seed * (PANES_N + 1) + i


def _pane(detector: Detector, rows: Records, reference: Reference, minute: int) -> Increment:
    """A row that cannot be read also stands for one whose id came before."""
    found = one_input(detector, rows, reference, minute)
    assert isinstance(found, Increment)
    return found if rows.wrong is None else dataclasses.replace(found, arrived=rows.n, repeated=int(rows.wrong.sum()))


_FAULTS = ("duplicate_id_rise", "missing_rise", "out_of_range_rise", "unseen_category_rise", "wrong_type_rise")
_SETTINGS = {name: {"tolerance": 0.3} for name in (*_FAULTS, "duplicate_content_rise")}
"""So rare a fault as one in a hundred would alone decide the mean."""
_PLACES: dict[str, Callable[[Detector], Streams]] = {
    **dict.fromkeys(("domain_classifier", "embedding_witness", "text_witness"), after_learning),
    **dict.fromkeys(
        (
            *("accuracy_floor", "f1_floor", "precision_floor", "recall_floor", "score_floor", "probability_ceiling", "value_ceiling"),
            *(f"risk{of}{kind}" for of in ("", "_value", "_judged") for kind in ("", "_change")),
            *(*_FAULTS, "likely_errors"),
        ),
        at_its_limit,
    ),
    **dict.fromkeys(("ppi_floor", "ppi_score_floor"), partial(at_its_limit, lead_n=16)),
    "auc_floor": partial(at_its_limit, is_paired=True, unit_n=2),
    "duplicate_content_rise": repeating_at_the_limit,
    "calibration_change": as_sure_as_allowed,
}
