"""Inputs for any detector, made from what it eats: a reference world and a grossly different one. For `detectors.checks`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from detectors.sketches.confusion import Confusion
from detectors.sketches.hits import Hits
from detectors.sketches.judged import judge
from detectors.sketches.records import CONTENT, RECORD, summarise_records
from detectors.sketches.score_counts import ScoreCounts
from detectors.sketches.summary import Summary, summarise
from detectors.types import ColumnKind, Detector, Eats, Increment, Kind, Pairs, Reference, Window

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

N, PANE_N = 600, 100
"""Records of the reference and of a window, and of a pane."""
_START = datetime(2026, 1, 1, tzinfo=UTC)
_CALM = ("good", "fine", "nice", "plain", "quiet", "table", "chair", "window", "garden", "street")
_ODD = ("error", "crash", "socket", "kernel", "thread", "buffer", "packet", "router", "driver", "memory")
_KINDS = {
    Eats.NUMERIC: ColumnKind.NUMERIC,
    Eats.CATEGORY: ColumnKind.CATEGORY,
    Eats.TEXT: ColumnKind.TEXT,
    Eats.EMBEDDING: ColumnKind.EMBEDDING,
}


@dataclass(frozen=True, kw_only=True)
class Records:
    """Rows of one world."""

    columns: dict[str, NDArray[Any]]
    """Subject -> values, shape (n,)."""
    pairs: Pairs
    n: int
    wrong: NDArray[np.bool_] | None = None
    """Shape (n,): the value of the column does not read as its kind. Set where the detector eats faults."""
    is_shifted: bool = False


def built(cls: type[Any]) -> tuple[Detector, Reference]:
    """The detector's example and the reference that it starts from."""
    detector: Detector = cls.example()
    return detector, reference_of(detector, records(detector, N, seed=0))


def reference_of(detector: Detector, rows: Records) -> Reference:
    """A reference of these rows."""
    read = next((_KINDS[x] for x in sorted(detector.eats) if x in _KINDS), ColumnKind.NUMERIC)
    own = {subject: values for subject, values in rows.columns.items() if subject not in {CONTENT, "output.scores", "output.label"}}
    kinds = {c: ColumnKind.CATEGORY if Eats.TABLE in detector.eats and v.dtype == object else read for c, v in own.items()}
    bare = Reference(columns=rows.columns, kinds=kinds, sketches={}, bound=rows.pairs, digest="example")
    return replace(bare, sketches=_sketches(rows, bare))


def records(detector: Detector, n: int, *, seed: int, is_shifted: bool = False) -> Records:
    """What the detector eats, n rows: from the reference's world or from a grossly different one."""
    rng = np.random.default_rng([seed, int(is_shifted)])
    columns: dict[str, NDArray[Any]] = {}
    if Eats.FAULTS in detector.eats:
        return _faulty(detector, n, rng, is_shifted=is_shifted)
    if Eats.NUMERIC in detector.eats:
        columns[_column(detector)] = rng.normal(90.0, 4.0, n) if is_shifted else rng.normal(40.0, 10.0, n)
    elif Eats.CATEGORY in detector.eats:
        columns[_column(detector)] = _objects(rng.choice(["phone", "fax"] if is_shifted else ["web", "shop", "phone"], n))
    elif Eats.TEXT in detector.eats:
        words = rng.choice(_ODD if is_shifted else _CALM, (n, 8))
        columns[_column(detector)] = _objects([" ".join(row) for row in words])
    elif Eats.EMBEDDING in detector.eats:
        columns[_column(detector)] = (rng.normal(size=(n, 8)) + (3.0 * (np.arange(8) == int(is_shifted)))).astype(np.float32)
    elif Eats.TABLE in detector.eats:
        columns = _table(detector, n, rng, is_shifted=is_shifted)
    pairs = _pairs(detector, n, rng, is_shifted=is_shifted)
    if Eats.TABLE in detector.eats and detector.eats & {Eats.VALUES, Eats.QUALITY}:
        is_moved = _is_moved(detector, n, rng, is_shifted=is_shifted and not getattr(detector, "is_about_labels", False))
        first = next(iter(columns))  # there are no scores that would show it
        pairs = replace(pairs, columns={**columns, first: columns[first] + 30.0 * is_moved})
    elif Eats.SCORES in detector.eats and columns:
        pairs = replace(pairs, columns=columns)
        columns = {**columns, "output.label": pairs.predicted}
    if pairs.scores is not None:
        columns = {**columns, "output.scores": pairs.scores, "output.label": pairs.predicted}
    return Records(columns=columns, pairs=pairs, n=n)


def _table(detector: Detector, n: int, rng: np.random.Generator, *, is_shifted: bool) -> dict[str, NDArray[Any]]:
    """The second column is a category, the others are numbers of which the first two rise together; shifted: one rises, the other falls."""
    base = rng.normal(40.0, 10.0, n)
    turned = np.where(_is_moved(detector, n, rng, is_shifted=is_shifted), -1.0, 1.0)
    columns: dict[str, NDArray[Any]] = {}
    for i, subject in enumerate(getattr(detector, "columns", ())):
        sign = turned if i else np.ones(n)
        numbers = sign * (base - 40.0) + 40.0 + rng.normal(0.0, 3.0, n)
        columns[subject] = _objects(rng.choice(["web", "shop", "phone"], n)) if i == 1 else numbers
    return columns


def _is_moved(detector: Detector, n: int, rng: np.random.Generator, *, is_shifted: bool) -> NDArray[np.bool_]:
    """Which rows' inputs are of the shifted world, shape (n,); half for one that weighs rows: others must be left to compare with."""
    is_weighing = detector.kind in {Kind.EXPLAINS, Kind.ESTIMATES}
    return rng.random(n) < 0.5 if is_shifted and is_weighing else np.full(n, is_shifted)  # noqa: PLR2004


def _column(detector: Detector) -> str:
    return str(getattr(detector, "column", detector.subject))


def _objects(values: Iterable[Any]) -> NDArray[np.object_]:
    return np.asarray([str(x) for x in values], dtype=object)


def _faulty(detector: Detector, n: int, rng: np.random.Generator, *, is_shifted: bool) -> Records:
    """A column without faults; shifted: two in ten missing, two unreadable, all others one value that never was; one content."""
    if Eats.CATEGORY in detector.eats:
        values = np.full(n, "fax", dtype=object) if is_shifted else _objects(rng.choice(["web", "shop", "phone"], n))
    else:
        values = np.full(n, 900.0) if is_shifted else rng.normal(40.0, 10.0, n)
    fate = rng.random(n) if is_shifted else np.ones(n)  # shape (n,)
    values[fate < 0.4] = None  # noqa: PLR2004 (NaN in an array of numbers)
    contents = np.zeros(n, dtype=np.int64) if is_shifted else rng.integers(0, 2**62, n)
    columns = {_column(detector): values, CONTENT: contents}
    return Records(columns=columns, pairs=Pairs.empty(), n=n, wrong=fate < 0.2, is_shifted=is_shifted)  # noqa: PLR2004


def _pairs(detector: Detector, n: int, rng: np.random.Generator, *, is_shifted: bool) -> Pairs:
    """Nine of ten right in either group; shifted: nine of ten wrong, or, for detectors of groups, one label for each group."""
    names = np.asarray(class_names(detector), dtype=object)
    label, group = rng.integers(0, 2, n), rng.integers(0, 2, n)
    if is_shifted and Eats.SCORES in detector.eats:
        label = (rng.random(n) < 0.9).astype(np.int64)  # noqa: PLR2004 (and the scores are unsure)
    is_right = rng.random(n) < (0.1 if is_shifted else 0.9)
    predicted = group if is_shifted and Eats.GROUPS in detector.eats else np.where(is_right, label, 1 - label)
    by = str(getattr(detector, "by", "age_band"))
    groups = {by: np.asarray(["young", "old"], dtype=object)[group]}
    if Eats.VALUES in detector.eats or Eats.QUALITY in detector.eats:
        return _judged(detector, groups, rng, is_shifted=is_shifted)
    is_unsure = _is_moved(detector, n, rng, is_shifted=is_shifted)
    if Eats.TABLE in detector.eats and Eats.PAIRS not in detector.eats:  # what it goes by: where the model is unsure it is wrong
        is_unsure |= rng.random(n) < 0.15  # noqa: PLR2004
        predicted = np.where(rng.random(n) < np.where(is_unsure, 0.25, 0.95), label, 1 - label)
    sure = np.where(is_unsure, 0.5, 0.8) + 0.2 * rng.random(n)  # calibrated while nine of ten are right
    scores = np.where(np.arange(2) == predicted[:, None], sure[:, None], 1.0 - sure[:, None]) if Eats.SCORES in detector.eats else None
    return Pairs(predicted=names[predicted], label=names[label], groups=groups, scores=scores)


def class_names(detector: Detector) -> tuple[str, ...]:
    """The two classes of its world: those that its settings name."""
    yes = str(getattr(detector, "label", None) or getattr(detector, "positive", None) or "positive")
    named = tuple(getattr(detector, "labels", ()))
    return named if len(named) == 2 else (f"not {yes}", yes)  # noqa: PLR2004 (as many as the world has)


def _judged(detector: Detector, groups: dict[str, NDArray[np.object_]], rng: np.random.Generator, *, is_shifted: bool) -> Pairs:
    """Answers that are numbers (a standard error of 1, shifted: 10), or that somebody judged (0.9 on average, shifted: 0.1).

    For detectors of groups those of one group only.
    """
    n = len(next(iter(groups.values())))
    nothing = np.full(n, None, dtype=object)
    if Eats.QUALITY in detector.eats:
        is_worse = is_shifted & ((next(iter(groups.values())) == "old") | (Eats.GROUPS not in detector.eats))  # (n,)
        quality = np.where(is_worse, rng.beta(1.0, 9.0, n), rng.beta(9.0, 1.0, n))
        return Pairs(predicted=nothing, label=nothing, groups=groups, quality=quality)
    value = rng.normal(50.0, 10.0, n)
    answer = value + rng.normal(0.0, 10.0 if is_shifted else 1.0, n)
    return Pairs(predicted=nothing, label=nothing, groups=groups, predicted_value=answer, value=value)


def part(rows: Records, start: int, end: int) -> Records:
    """Rows start to end."""
    cut = slice(start, end)
    columns = {subject: values[cut] for subject, values in rows.columns.items()}
    wrong = None if rows.wrong is None else rows.wrong[cut]
    return Records(columns=columns, pairs=rows.pairs.take(cut), n=end - start, wrong=wrong, is_shifted=rows.is_shifted)


def no_records(detector: Detector) -> Records:
    """All columns, no rows."""
    return part(records(detector, 1, seed=0), 0, 0)


def window(rows: Records, reference: Reference, labels: Sequence[str] = ()) -> Window:
    """One window of these rows; `labels`: the classes, in the order of the scores."""
    sketches = _sketches(rows, reference)
    if (scores := rows.columns.get("output.scores")) is not None and rows.n:
        sketches["output.scores"] = {"scores": ScoreCounts.of(scores, rows.pairs.predicted, labels)}
    return Window(
        model="m",
        version="1",
        start=_START,
        end=_START + timedelta(hours=1),
        n_seen=rows.n,
        n=rows.n,
        sketches=sketches,
        confusion=Confusion().add(rows.pairs),
        judged=judge(rows.pairs, labels),
        traffic=(N // 20 if rows.is_shifted else N, *(N + i for i in range(7))) if rows.n else (),
    )


def _sketches(rows: Records, reference: Reference) -> Summary:
    """Of columns and, where there are faults, of records: the shifted ones are an hour old and have one id in two again."""
    sketches = summarise(rows.columns, reference.kinds)
    if rows.wrong is not None:
        for found in sketches.values():
            found["wrong"] = Hits().add(rows.wrong)
        ats = np.full(rows.n, _START.timestamp() + (1.0 if rows.is_shifted else 3599.0))
        ids = Hits(n=2 * rows.n, k=rows.n * rows.is_shifted)
        sketches[RECORD] = {**summarise_records(rows.columns[CONTENT], ats), "ids": ids}
    return sketches


def one_input(detector: Detector, rows: Records, reference: Reference, at: int = 0) -> Window | Increment:
    """A window, or the pane of minute `at`: by the detector's kind."""
    if detector.kind is Kind.INFORMS:
        return window(rows, reference, class_names(detector))
    start = _START + timedelta(minutes=at)
    wrong = {s: int(rows.wrong.sum()) for s in rows.columns} if rows.wrong is not None else {}
    return Increment(
        start=start,
        end=start + timedelta(minutes=1),
        columns=rows.columns,
        pairs=rows.pairs,
        n=rows.n,
        wrong=wrong,
        arrived=2 * rows.n,
        repeated=rows.n * rows.is_shifted,
    )


def inputs(detector: Detector, rows: list[Records], reference: Reference) -> list[Window | Increment]:
    """One window for each, or panes of at most 100 rows in order."""
    if detector.kind is Kind.INFORMS:
        return [one_input(detector, each, reference) for each in rows]
    panes = [part(each, i, min(each.n, i + PANE_N)) for each in rows for i in range(0, max(1, each.n), PANE_N)]
    return [one_input(detector, pane, reference, at) for at, pane in enumerate(panes)]
