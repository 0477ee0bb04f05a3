"""The contract that every registered detector keeps, as checks that anyone can run: this project's tests do, and so can a plug-in's.

    for check in checks_for(MyDetector):
        check()  # AssertionError says what is broken

A check builds the detector by its `example()` and its inputs by what it `eats`: no data, no clock, no randomness from outside.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from detectors.examples import PANE_N, N, built, class_names, inputs, no_records, one_input, part, records, window
from detectors.sketches.judged import judged_to_bytes, merge_judged
from detectors.sketches.summary import merge_summaries, summary_to_bytes
from detectors.types import (
    Detector,
    Eats,
    EDetectorValue,
    EValue,
    Increment,
    Kind,
    Outcome,
    Pairs,
    PValue,
    Reference,
    Score,
    Verdict,
    Window,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_SHIFTED_N = 3000
"""Records within which a sequential detector notices a gross shift."""
_MOST_STATE_BYTES = 16 * 2**20
_EVIDENCE: dict[Kind, tuple[type[Any], ...]] = {
    Kind.INFORMS: (PValue, Score),
    Kind.ALARMS: (EValue, EDetectorValue),
    Kind.EXPLAINS: (Score,),
    Kind.ESTIMATES: (Score,),
}


@dataclass(frozen=True, kw_only=True)
class Check:
    """One promise of one detector; call it."""

    name: str
    detector_class: type[Any]
    run: Callable[[type[Any]], None]

    def __call__(self) -> None:
        """AssertionError when the promise is broken."""
        self.run(self.detector_class)


def checks_for(detector_class: type[Any]) -> list[Check]:
    """Every check that applies to a detector class, by its `kind`."""
    kind: Kind = detector_class.kind
    both = [is_documented, says_insufficient_on_nothing, copes_without_a_reference, is_pure, is_quiet_on_identical_data]
    both += [alarms_on_a_gross_shift, keeps_a_storable_state, gives_well_formed_verdicts]
    folds = [takes_an_empty_pane_as_no_step, stands_a_pane_in_two_halves]
    own = [sees_merged_panes_as_the_whole] if kind is Kind.INFORMS else folds
    return [Check(name=run.__name__, detector_class=detector_class, run=run) for run in [*both, *own]]


def is_documented(cls: type[Any]) -> None:
    """Class attributes and docstring say what it is; settings are a frozen dataclass."""
    for name in ("guarantee", "assumption", "cost", "source", "__doc__"):
        text = getattr(cls, name, None)
        _require(isinstance(text, str) and len(text.strip()) > 0, f"{cls.__name__}.{name} must be a sentence, got {text!r}")
    _require(bool(cls.eats) and all(isinstance(x, Eats) for x in cls.eats), f"eats must be a set of Eats, got {cls.eats!r}")
    _require(cls.evidence in _EVIDENCE[cls.kind], f"a detector that {cls.kind} gives no {cls.evidence.__name__}")
    _require(dataclasses.is_dataclass(cls) and cls.__dataclass_params__.frozen, "settings must be a frozen dataclass")  # type: ignore[attr-defined]  # mypy knows it not
    _require(cls.example() == cls.example() and bool(cls.example().subject), "example() must give equal detectors with a subject")


def says_insufficient_on_nothing(cls: type[Any]) -> None:
    """An empty window or pane is no reason to say OK."""
    detector, reference = built(cls)
    _, verdict = detector.step(detector.start(reference), one_input(detector, no_records(detector), reference))
    _require(verdict.outcome is Outcome.INSUFFICIENT, f"an empty input must be INSUFFICIENT, got {verdict.outcome}: {verdict.because}")


def copes_without_a_reference(cls: type[Any]) -> None:
    """Neither a missing column nor a reference without rows raises or alarms."""
    detector, reference = built(cls)
    nothing = Reference(columns={}, kinds={}, sketches={}, bound=Pairs.empty(), digest="none")
    data = one_input(detector, records(detector, N, seed=1), reference)
    _, verdict = detector.step(detector.start(nothing), data)
    _require(verdict.outcome is not Outcome.ALARM, f"without a reference there is nothing to alarm about: {verdict.because}")
    bare = dataclasses.replace(data, columns={}) if isinstance(data, Increment) else dataclasses.replace(data, sketches={})
    detector.step(detector.start(reference), bare)


def is_pure(cls: type[Any]) -> None:
    """Arguments stay as they are, and equal arguments give equal results."""
    detector, reference = built(cls)
    before = _fingerprint(reference)
    first, second = detector.start(reference), detector.start(reference)
    _require(_fingerprint(first) == _fingerprint(second), "start() gives two states for one reference")
    rows = [records(detector, N // 2, seed=1), records(detector, N // 2, seed=1, is_shifted=True)]
    for data in inputs(detector, rows, reference):
        given = (_fingerprint(first), _fingerprint(data))
        (after, verdict), (again, same) = detector.step(first, data), detector.step(second, data)
        _require((_fingerprint(first), _fingerprint(data)) == given, "step() changes its arguments")
        _require(_fingerprint(after) == _fingerprint(again) and verdict == same, "step() gives two answers to one question")
        first, second = after, again
    _require(_fingerprint(reference) == before, "the reference was changed")


def is_quiet_on_identical_data(cls: type[Any]) -> None:
    """The reference's own rows raise no alarm."""
    detector, reference = built(cls)
    verdict = _until_alarm(detector, reference, inputs(detector, [records(detector, N, seed=0)], reference))
    _require(verdict.outcome is not Outcome.ALARM, f"alarms on the reference's own rows: {verdict.because}")


def alarms_on_a_gross_shift(cls: type[Any]) -> None:
    """Another world is noticed within 3,000 records (a detector that informs: in a window of 600)."""
    detector, reference = built(cls)
    n = N if cls.kind is Kind.INFORMS else _SHIFTED_N
    verdict = _until_alarm(detector, reference, inputs(detector, [records(detector, n, seed=1, is_shifted=True)], reference))
    _require(verdict.outcome is Outcome.ALARM, f"a gross shift is not noticed: {verdict.because}")


def keeps_a_storable_state(cls: type[Any]) -> None:
    """A state is made of what the ledger can store, and stays below 16 MB."""
    detector, reference = built(cls)
    state, _ = _run(detector, reference, inputs(detector, [records(detector, 2 * N, seed=1)], reference))
    size = len(_fingerprint(_stored(state)))
    _require(size <= _MOST_STATE_BYTES, f"a state of {size} bytes after {2 * N} records; {_MOST_STATE_BYTES} are allowed")


def gives_well_formed_verdicts(cls: type[Any]) -> None:
    """Name, subject and evidence are the detector's own; the value lies in its interval."""
    detector, reference = built(cls)
    rows = [no_records(detector), records(detector, N, seed=1), records(detector, N, seed=2, is_shifted=True)]
    for verdict in _run(detector, reference, inputs(detector, rows, reference))[1]:
        _require((verdict.detector, verdict.subject) == (cls.name, detector.subject), f"a verdict of another: {verdict}")
        _require(isinstance(verdict.evidence, cls.evidence), f"evidence must be {cls.evidence.__name__}, got {verdict.evidence}")
        _require(verdict.low <= verdict.value <= verdict.high, f"{verdict.value} lies outside [{verdict.low}, {verdict.high}]")
        _require(verdict.n >= 0, f"n is {verdict.n}")


def sees_merged_panes_as_the_whole(cls: type[Any]) -> None:
    """A window of merged panes gives the verdict of a window made in one pass."""
    detector, reference = built(cls)
    rows = records(detector, N, seed=1, is_shifted=True)
    names = class_names(detector)
    panes = [window(part(rows, i, i + PANE_N), reference, names) for i in range(0, N, PANE_N)]
    merged = panes[0]
    for pane in panes[1:]:
        sketches, confusion = merge_summaries(merged.sketches, pane.sketches), merged.confusion.merge(pane.confusion)
        judged, n, n_seen = merge_judged(merged.judged, pane.judged), merged.n + pane.n, merged.n_seen + pane.n_seen
        merged = dataclasses.replace(merged, sketches=sketches, confusion=confusion, judged=judged, n=n, n_seen=n_seen)
    state = detector.start(reference)
    one, other = detector.step(state, merged)[1], detector.step(state, window(rows, reference, names))[1]
    close = np.allclose([one.value, one.low, one.high], [other.value, other.low, other.high], rtol=1e-6, atol=1e-9)
    _require(one.outcome == other.outcome and one.n == other.n and bool(close), f"merged: {one.because}; whole: {other.because}")


def takes_an_empty_pane_as_no_step(cls: type[Any]) -> None:
    """Evidence neither grows nor shrinks while nothing comes: a quiet night costs nothing."""
    detector, reference = built(cls)
    panes = inputs(detector, [records(detector, 3 * PANE_N, seed=1)], reference)
    empty = one_input(detector, no_records(detector), reference)
    without, with_empty = (_run(detector, reference, rows)[1][-1] for rows in (panes, [empty, panes[0], empty, *panes[1:]]))
    _require(without == with_empty, f"empty panes change the verdict from {without.evidence} to {with_empty.evidence}")


def stands_a_pane_in_two_halves(cls: type[Any]) -> None:
    """The same records in smaller panes may give other evidence (a bet is fixed before its pane), but the same alarms."""
    detector, reference = built(cls)
    for is_shifted, seed, n in ((False, 0, N), (True, 1, _SHIFTED_N)):
        rows = records(detector, n, seed=seed, is_shifted=is_shifted)
        halves = [part(rows, i, i + PANE_N // 2) for i in range(0, n, PANE_N // 2)]
        verdict = _until_alarm(detector, reference, inputs(detector, halves, reference))
        _require(
            (verdict.outcome is Outcome.ALARM) == is_shifted,
            f"in half panes {'a gross shift is missed' if is_shifted else 'identical data alarm'}: {verdict.because}",
        )


def _require(condition: bool, message: str) -> None:  # noqa: FBT001 (reads as a sentence at the call)
    if not condition:
        raise AssertionError(message)


def _run(detector: Detector, reference: Reference, data: Iterable[Window | Increment]) -> tuple[Any, list[Verdict]]:
    state, verdicts = detector.start(reference), []
    for one in data:
        state, verdict = detector.step(state, one)
        verdicts.append(verdict)
    return state, verdicts


def _until_alarm(detector: Detector, reference: Reference, data: Iterable[Window | Increment]) -> Verdict:
    """The first verdict that alarms, or the last one."""
    state = detector.start(reference)
    for one in data:
        state, verdict = detector.step(state, one)
        if verdict.outcome is Outcome.ALARM:
            break
    return verdict


def _stored(state: Any) -> Any:  # noqa: ANN401 (any state)
    """The state itself, if the ledger can store it."""
    _require(state is None or (dataclasses.is_dataclass(state) and not isinstance(state, type)), f"a state is a dataclass, got {state!r}")
    _storable(state)
    return state


def _storable(value: Any) -> None:  # noqa: ANN401 (any part of a state)
    match value:
        case None | bool() | int() | float() | str():
            return
        case np.ndarray():
            _require(not value.dtype.hasobject, "an array of objects cannot be stored: use numbers, or a tuple of str")
        case tuple():
            for inner in value:
                _storable(inner)
        case dict():
            _require(all(isinstance(key, str) for key in value), "the keys of a stored dict are str")
            _storable(tuple(value.values()))
        case _:
            _require(
                dataclasses.is_dataclass(value),
                f"{type(value).__name__} cannot be stored: float, int, str, bool, tuple, dict, ndarray can",
            )
            _storable(tuple(getattr(value, f.name) for f in dataclasses.fields(value)))


def _fingerprint(value: Any) -> bytes:  # noqa: ANN401 (any argument or result)
    """Bytes that differ when the content does."""
    if isinstance(value, Window):
        return summary_to_bytes(value.sketches) + bytes(value.confusion.to_bytes()) + judged_to_bytes(value.judged)
    if isinstance(value, np.ndarray):
        return repr(value.tolist()).encode() if value.dtype.hasobject else value.tobytes()
    if isinstance(value, dict):
        return b"{" + b",".join(repr(key).encode() + b":" + _fingerprint(inner) for key, inner in value.items()) + b"}"
    if dataclasses.is_dataclass(value) and not hasattr(value, "to_bytes"):
        value = tuple(getattr(value, field.name) for field in dataclasses.fields(value))
    if isinstance(value, tuple):
        return b"(" + b",".join(_fingerprint(inner) for inner in value) + b")"
    return bytes(value.to_bytes()) if hasattr(type(value), "kind") and hasattr(value, "to_bytes") else repr(value).encode()
