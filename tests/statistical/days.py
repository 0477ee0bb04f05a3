"""Days on which just so much changed: for every alarm a world, the change that `retuned check` names in it, and half of that.

`python -m tests.statistical.days` prints on how many of 40 such days (of a learner 20) there is an alarm: the table of docs/check.md.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from daemon.watched.seen.day import Day, Soon
from daemon.watched.soon import soon_seen
from detectors.registry import build
from detectors.sequential.growth_of_witness import learnings
from detectors.sketches.hits import Hits
from detectors.sketches.records import CONTENT
from detectors.sketches.summary import summarise
from detectors.types import ColumnKind, Increment, Pairs, Reference
from tests.statistical.conftest import Make, objects

Rng = np.random.Generator
Floats = NDArray[np.float64]
PANES_N = 20
DAY = Day(records_n=4000, labels_n=800, panes_n=PANES_N)
"""Of all worlds: 200 records and 40 labels a pane."""
BOUND_N, REFERENCE_N = 2000, 2000
LABELS = ("no", "yes")
ALPHA, EVER = 1e-5, 0.02
"""Of an e-detector about what a model with 15 monitors gives each at 90 days; of an e-process."""


@dataclass(frozen=True, kw_only=True)
class World:
    """In which one thing can change."""

    detector: Any
    reference: Reference
    pane: Callable[[Rng, int, float], Increment]
    """The i-th pane of a day on which the figure is what it is."""
    usual: float
    """The figure when nothing is to be told: half of a change is halfway from here."""
    quiet: tuple[Increment, ...] = field(default=())
    """Before the day: what a learner has in its pool."""

    def soon(self, day: Day = DAY) -> Soon:
        """What is said of it."""
        (found,) = soon_seen([self.detector], self.reference, day)
        return found

    def seen(self, figure: float, days_n: int, seed: int = 7) -> int:
        """On how many days there is an alarm."""
        rng, start = np.random.default_rng(seed), self._start()
        return sum(self._alarms(start, rng, figure) for _ in range(days_n))

    def _start(self) -> Any:
        state = self.detector.start(self.reference)
        for data in self.quiet:
            state, verdict = self.detector.step(state, data)
            assert verdict.outcome.value != "alarm", verdict.because
        return replace(state, learnt_n=learnings(DAY.records_n, PANES_N)) if self.quiet else state

    def _alarms(self, state: Any, rng: Rng, figure: float) -> bool:
        for i in range(PANES_N):
            state, verdict = self.detector.step(state, self.pane(rng, len(self.quiet) + i, figure))
            if verdict.outcome.value == "alarm":
                return True
        return False


def halfway(world: World, named: float) -> float:
    """Half of the change."""
    return world.usual + 0.5 * (named - world.usual)


DAYS_N, FEWER_DAYS_N = 40, 20
"""Of a proof; of a learner, whose days take seconds."""
WORLDS: dict[str, Callable[[], World]] = {}
"""By the detector's name."""


def of(*names: str) -> Callable[[Callable[[str], World]], Callable[[str], World]]:
    """The function makes the worlds of these detectors."""

    def keep(make: Callable[[str], World]) -> Callable[[str], World]:
        WORLDS.update({name: lambda name=name: make(name) for name in names})  # type: ignore[misc]
        return make

    return keep


def columns_world(
    detector: Any, drawn: Callable[[Rng, int, float], dict[str, Any]], usual: float, *, kind: ColumnKind, quiet_n: int = 0
) -> World:
    """Of records alone; `drawn` gives columns without a prefix."""
    rng, n = np.random.default_rng(1), int(DAY.records_n) // PANES_N
    found = Make.reference(**drawn(rng, REFERENCE_N, 0.0 if quiet_n else usual))
    quiet = tuple(Make.increment(i, **drawn(rng, n, 0.0)) for i in range(quiet_n))
    return World(
        detector=detector,
        reference=replace(found, kinds=dict.fromkeys(found.columns, kind)),
        pane=lambda rng, i, figure: Make.increment(i, **drawn(rng, n, figure)),
        usual=usual,
        quiet=quiet,
    )


@of("conformal_numeric")
def number(name: str) -> World:
    detector = build(name, column="input.x", alpha=ALPHA)
    return columns_world(detector, lambda rng, n, shift: {"x": rng.normal(shift, size=n)}, 0.0, kind=ColumnKind.NUMERIC)


@of("conformal_category")
def category(name: str) -> World:
    def drawn(rng: Rng, n: int, share: float) -> dict[str, Any]:
        return {"x": objects(np.where(rng.random(n) < share, "a", rng.choice(["b", "c", "d"], n)))}

    world = columns_world(build(name, column="input.x", alpha=ALPHA), drawn, 0.4, kind=ColumnKind.CATEGORY)
    cells = world.detector.start(world.reference).hours[0]
    return replace(world, usual=float(cells.shares.max()))


@of("text_figures")
def length(name: str) -> World:
    def drawn(rng: Rng, n: int, shift: float) -> dict[str, Any]:
        sizes = np.clip(rng.normal(200.0 + 30.0 * shift, 30.0, n), 1, 600).astype(int)
        return {"x": objects([("four " * 120)[:size] for size in sizes.tolist()])}

    return columns_world(build(name, column="input.x", alpha=ALPHA), drawn, 0.0, kind=ColumnKind.TEXT)


@of("text_witness")
def text(name: str) -> World:
    share = 1.0 / np.arange(1, 301)

    def drawn(rng: Rng, n: int, part: float) -> dict[str, Any]:
        words = rng.choice(300, size=(n, 9), p=share / share.sum())
        foreign = rng.random(n) < part
        return {"x": objects(" ".join(f"{'v' if f else 'w'}{w}" for w in row) for row, f in zip(words.tolist(), foreign, strict=True))}

    return columns_world(build(name, column="input.x", alpha=ALPHA), drawn, 0.0, kind=ColumnKind.TEXT, quiet_n=3)


@of("embedding_witness")
def vector(name: str) -> World:
    def drawn(rng: Rng, n: int, part: float) -> dict[str, Any]:
        here, there = np.zeros((n, 16)), np.zeros((n, 16))
        here[:, :8], there[:, 8] = rng.normal(size=(n, 8)), 3.0
        return {"x": np.where((rng.random(n) < part)[:, None], there, here).astype(np.float32)}

    return columns_world(build(name, column="input.x", alpha=ALPHA), drawn, 0.0, kind=ColumnKind.EMBEDDING, quiet_n=3)


@of("domain_classifier")
def row(name: str) -> World:
    columns = tuple(f"x{i}" for i in range(8))

    def drawn(rng: Rng, n: int, part: float) -> dict[str, Any]:
        """From elsewhere are rows of eight ones, which are as far off as most rows: only who learns tells them apart."""
        foreign = rng.random(n) < part
        return {x: np.where(foreign, 1.0, rng.normal(size=n)) for x in columns}

    detector = build(name, columns=tuple(f"input.{x}" for x in columns), alpha=ALPHA)
    return columns_world(detector, drawn, 0.0, kind=ColumnKind.NUMERIC, quiet_n=3)


@of("missing_rise", "wrong_type_rise", "out_of_range_rise", "unseen_category_rise", "duplicate_id_rise", "duplicate_content_rise")
def fault(name: str) -> World:
    rng, n, column = np.random.default_rng(1), int(DAY.records_n) // PANES_N, "input.x"
    is_category = name == "unseen_category_rise"
    values = objects(rng.choice(["a", "b"], REFERENCE_N)) if is_category else rng.uniform(size=REFERENCE_N)
    kind = ColumnKind.CATEGORY if is_category else ColumnKind.NUMERIC
    columns, kinds = Make.reference(x=values).columns, {column: kind}
    sketches = {s: {**of, "wrong": Hits(n=REFERENCE_N)} for s, of in summarise(columns, kinds).items()}
    found = replace(Make.reference(x=values), kinds=kinds, sketches=sketches)
    found = replace(found, columns={**columns, CONTENT: np.arange(REFERENCE_N)})
    detector: Any = build(name, alpha=ALPHA) if name.startswith("duplicate") else build(name, column=column, alpha=ALPHA)
    limit = detector.start(found).share.limit

    def pane(rng: Rng, i: int, share: float) -> Increment:
        hit = rng.random(n) < share
        odd = {"missing_rise": np.nan, "out_of_range_rise": 9.0}.get(name, 0.5)
        x = objects(np.where(hit, "new", "a")) if is_category else np.where(hit, odd, 0.5)
        contents = np.arange(n) + n * i
        contents[1:][hit[1:]] = contents[:-1][hit[1:]]  # the one before
        data = Make.increment(i, x=x)
        data = replace(data, columns={**data.columns, CONTENT: contents}, arrived=n, repeated=int(hit.sum()))
        return replace(data, wrong={column: int(hit.sum())} if name == "wrong_type_rise" else {})

    return World(detector=detector, reference=found, pane=pane, usual=limit)


def labels_world(detector: Any, drawn: Callable[[Rng, int, float], Pairs], before: float, usual: float | None = None) -> World:
    """Of labelled pairs; `before`: the figure in the bound rows, `usual`: what the figure is held to."""
    n = int(DAY.labels_n or 0) // PANES_N
    found = Make.reference(bound=drawn(np.random.default_rng(1), BOUND_N, before))
    return World(
        detector=detector,
        reference=found,
        pane=lambda rng, i, figure: _with_records(Make.increment(i, pairs=drawn(rng, n, figure)), rng, drawn, figure),
        usual=_limit_of(detector, found) if usual is None else usual,
    )


def _limit_of(detector: Any, reference: Reference) -> float:
    _, verdict = detector.step(detector.start(reference), Make.increment(0))
    return float(verdict.limit)


def _with_records(data: Increment, rng: Rng, drawn: Callable[[Rng, int, float], Pairs], figure: float) -> Increment:
    """All records of the pane: a prediction needs their scores."""
    more = drawn(rng, int(DAY.records_n) // PANES_N, figure)
    if more.scores is None:
        return data
    at = np.full(data.pairs.n, data.start.timestamp())
    return replace(data, columns={"output.scores": more.scores, "output.label": more.predicted}, pairs=replace(data.pairs, at=at))


def answers(rng: Rng, n: int, right: float, *, sure: Floats | None = None) -> Pairs:
    """Yes and no as often; so many answers are right, whatever the confidence, which is 3/4 to 1."""
    names, label = objects(LABELS), rng.integers(0, 2, n)
    given = np.where(rng.random(n) < right, label, 1 - label)
    p = rng.uniform(0.75, 1.0, n) if sure is None else sure
    scores = np.where(np.arange(2) == given[:, None], p[:, None], 1.0 - p[:, None])
    return Pairs(predicted=names[given], label=names[label], scores=scores)


@of("accuracy_floor", "precision_floor", "recall_floor", "f1_floor")
def floor(name: str) -> World:
    label = {} if name == "accuracy_floor" else {"label": "yes"}
    return labels_world(build(name, max_drop=0.05, alpha=ALPHA, **label), answers, 0.9)


@of("risk", "risk_change")
def risk(name: str) -> World:
    alpha = EVER if name == "risk" else ALPHA
    return labels_world(build(name, tolerance=0.05, alpha=alpha), lambda rng, n, loss: answers(rng, n, 1.0 - loss), 0.1)


@of("ppi_floor")
def predicted(name: str) -> World:
    """Where the model is unsure it is wrong in two of five answers, and in one of twenty otherwise; what changes is both alike."""

    def drawn(rng: Rng, n: int, right: float) -> Pairs:
        unsure = rng.random(n) < 0.2
        kept = right / (0.2 * 0.6 + 0.8 * 0.95)
        sure, names, label = np.where(unsure, 0.6, 0.95), objects(LABELS), rng.integers(0, 2, n)
        given = np.where(rng.random(n) < sure * kept, label, 1 - label)
        return Pairs(
            predicted=names[given],
            label=names[label],
            scores=np.where(np.arange(2) == given[:, None], sure[:, None], 1.0 - sure[:, None]),
        )

    return labels_world(build(name, labels=LABELS, max_drop=0.03, alpha=ALPHA), drawn, 0.88)


@of("calibration_change")
def calibration(name: str) -> World:
    """The confidence is what it says; so many of the right answers turn wrong."""

    def drawn(rng: Rng, n: int, turned: float) -> Pairs:
        sure = rng.uniform(0.6, 1.0, n)
        names, label = objects(LABELS), rng.integers(0, 2, n)
        given = np.where(rng.random(n) < sure * (1.0 - turned), label, 1 - label)
        return Pairs(
            predicted=names[given],
            label=names[label],
            scores=np.where(np.arange(2) == given[:, None], sure[:, None], 1.0 - sure[:, None]),
        )

    return labels_world(build(name, labels=LABELS, alpha=ALPHA), drawn, 0.0, 0.0)


@of("auc_floor")
def ranking(name: str) -> World:
    def drawn(rng: Rng, n: int, auc: float) -> Pairs:
        names, label = objects(LABELS), (rng.random(n) < 0.3).astype(int)
        p = ndtr(rng.normal(size=n) + label * np.sqrt(2.0) * ndtri(auc))
        return Pairs(predicted=names[(p > 0.5).astype(int)], label=names[label], scores=np.stack([1.0 - p, p], axis=1))

    return labels_world(build(name, label="yes", labels=LABELS, max_drop=0.05, alpha=ALPHA), drawn, 0.9)


@of("score_floor", "risk_judged", "risk_judged_change")
def judged(name: str) -> World:
    """Quality: 1 less a loss that is a Beta variable of mean .2, times a factor, at most 1."""
    factor = _factor(lambda rng, n: rng.beta(2.0, 8.0, n))
    is_score = name == "score_floor"

    def drawn(rng: Rng, n: int, figure: float) -> Pairs:
        loss = 1.0 - figure if is_score else figure
        return _numbers(n, quality=1.0 - np.minimum(1.0, factor(loss) * rng.beta(2.0, 8.0, n)))

    settings = {"max_drop": 0.05} if is_score else {"tolerance": 0.05}
    detector = build(name, alpha=EVER if name == "risk_judged" else ALPHA, **settings)
    return labels_world(detector, drawn, 0.8 if is_score else 0.2)


@of("ppi_score_floor")
def judged_twice(name: str) -> World:
    """As above; another model gives each answer 0 to 10, which correlates with its quality by .8."""
    factor = _factor(lambda rng, n: rng.beta(2.0, 8.0, n))

    def drawn(rng: Rng, n: int, quality: float) -> Pairs:
        loss = np.minimum(1.0, factor(1.0 - quality) * rng.beta(2.0, 8.0, n))
        return replace(_numbers(n, quality=1.0 - loss), columns={"input.judge": 10.0 * (1.0 - loss) + rng.normal(0.0, 0.9, n)})

    world = labels_world(build(name, judge="input.judge", max_drop=0.05, alpha=ALPHA), drawn, 0.8)

    def pane(rng: Rng, i: int, quality: float) -> Increment:
        found = drawn(rng, int(DAY.records_n) // PANES_N, quality)
        data = Make.increment(i, judge=found.columns["input.judge"])
        n = int(DAY.labels_n or 0) // PANES_N
        return replace(data, pairs=replace(found.take(slice(0, n)), at=np.full(n, data.start.timestamp())))

    return replace(world, pane=pane)


@of("risk_rise", "risk_judged_rise", "risk_value_rise")
def rise(name: str) -> World:
    """Errors more, judgements that turn wholly bad, numbers' errors all larger by one factor."""
    before = {"risk_rise": 0.1, "risk_judged_rise": 0.2, "risk_value_rise": 0.8}[name]

    def drawn(rng: Rng, n: int, figure: float) -> Pairs:
        if name == "risk_rise":
            return answers(rng, n, 1.0 - figure)
        if name == "risk_value_rise":
            return _numbers(n, error=figure / before * np.abs(rng.normal(size=n)))
        is_bad = rng.random(n) < (figure - before) / (1.0 - before)
        return _numbers(n, quality=np.where(is_bad, 0.0, 1.0 - rng.beta(2.0, 8.0, n)))

    return labels_world(build(name, tolerance=0.0, alpha=ALPHA), drawn, before, before)


@of("conformal_residual")
def residual(name: str) -> World:
    """Normal errors of scale 1, all to one side by as much."""

    def drawn(rng: Rng, n: int, by: float) -> Pairs:
        return _numbers(n, error=-rng.normal(by, 1.0, n))

    return labels_world(build(name, tolerance=0.0, alpha=ALPHA), drawn, 0.0, 0.0)


@of("value_ceiling", "risk_value", "risk_value_change")
def valued(name: str) -> World:
    """The absolute error of a normal variable, times a factor; the mean is that of errors clipped where the bound rows say."""
    settings = {"metric": "mae", "max_rise": 0.1} if name == "value_ceiling" else {"tolerance": 0.1}
    detector = build(name, alpha=EVER if name == "risk_value" else ALPHA, **settings)
    bound = _numbers(BOUND_N, error=np.abs(np.random.default_rng(1).normal(size=BOUND_N)))
    clip = detector.start(Make.reference(bound=bound)).clip
    factor = _factor(lambda rng, n: np.abs(rng.normal(size=n)), clip)

    def drawn(rng: Rng, n: int, mean: float) -> Pairs:
        return _numbers(n, error=factor(mean) * np.abs(rng.normal(size=n)))

    found = Make.reference(bound=bound)
    return replace(labels_world(detector, drawn, 0.8, 0.0), reference=found, usual=_limit_of(detector, found))


@of("probability_ceiling")
def probability(name: str) -> World:
    """A log loss that is an exponential variable, times a factor."""
    detector = build(name, labels=LABELS, max_rise=0.1, alpha=ALPHA)
    bound = _probable(0.3 * np.random.default_rng(1).exponential(size=BOUND_N))
    clip = detector.start(Make.reference(bound=bound)).clip
    factor = _factor(lambda rng, n: 0.3 * rng.exponential(size=n), clip)
    world = labels_world(detector, lambda rng, n, mean: _probable(factor(mean) * 0.3 * rng.exponential(size=n)), 0.25, 0.0)
    found = Make.reference(bound=bound)
    return replace(world, reference=found, usual=_limit_of(detector, found))


def _factor(drawn: Callable[[Rng, int], Floats], clip: float = 1.0) -> Callable[[float], float]:
    """What losses are multiplied by so that their mean, none above the clip, is this."""
    losses = drawn(np.random.default_rng(3), 100_000)

    @cache
    def found(mean: float) -> float:
        low, high = 0.0, 1e3
        for _ in range(40):
            middle = (low + high) / 2.0
            low, high = (middle, high) if np.minimum(clip, middle * losses).mean() < mean else (low, middle)
        return high

    return found


def _numbers(n: int, *, error: Floats | None = None, quality: Floats | None = None, groups: dict[str, Any] | None = None) -> Pairs:
    none = np.full(n, None, dtype=object)
    given = None if error is None else np.zeros(n)
    return Pairs(predicted=none, label=none, predicted_value=given, value=error, quality=quality, groups=groups or {})


def _probable(loss: Floats) -> Pairs:
    p = np.exp(-loss)
    yes = np.full(len(p), "yes", dtype=object)
    return Pairs(predicted=yes, label=yes, scores=np.stack([1.0 - p, p], axis=1))


def _halves(rng: Rng, n: int) -> tuple[NDArray[np.bool_], dict[str, Any]]:
    """Three in five of group a."""
    first = rng.random(n) < 0.6
    return first, {"g": objects(np.where(first, "a", "b"))}


@of("fairness_gap")
def gap_of_rates(name: str) -> World:
    def drawn(rng: Rng, n: int, gap: float) -> Pairs:
        first, groups = _halves(rng, n)
        given = rng.random(n) < 0.3 + gap * np.where(first, 0.4, -0.6)
        answer = objects(np.where(given, "yes", "no"))
        return Pairs(predicted=answer, label=answer, groups=groups)

    detector: Any = build(name, metric="demographic_parity_difference", by="g", positive="yes", alpha=EVER)
    return labels_world(detector, drawn, 0.0, detector.maximum)


@of("fairness_ratio")
def ratio_of_rates(name: str) -> World:
    def drawn(rng: Rng, n: int, ratio: float) -> Pairs:
        first, groups = _halves(rng, n)
        high = 0.5 / (0.6 + 0.4 * ratio)
        answer = objects(np.where(rng.random(n) < high * np.where(first, 1.0, ratio), "yes", "no"))
        return Pairs(predicted=answer, label=answer, groups=groups)

    detector: Any = build(name, by="g", positive="yes", alpha=EVER)
    return labels_world(detector, drawn, 1.0, detector.minimum)


@of("fairness_score_gap")
def gap_of_quality(name: str) -> World:
    def drawn(rng: Rng, n: int, gap: float) -> Pairs:
        first, groups = _halves(rng, n)
        mean = 0.6 + gap * np.where(first, 0.4, -0.6)
        return _numbers(n, quality=rng.beta(5.0 * mean, 5.0 * (1.0 - mean)), groups=groups)

    detector: Any = build(name, by="g", alpha=EVER)
    return labels_world(detector, drawn, 0.0, detector.maximum)


@of("fairness_calibration_gap")
def gap_of_confidence(name: str) -> World:
    def drawn(rng: Rng, n: int, gap: float) -> Pairs:
        first, groups = _halves(rng, n)
        right = np.clip(0.75 + gap * np.where(first, 0.4, -0.6), 0.0, 1.0)
        found = answers(rng, n, 1.0, sure=rng.uniform(0.6, 0.9, n))
        is_wrong = rng.random(n) > right
        flipped = objects(np.where(is_wrong, np.where(found.label == "yes", "no", "yes"), found.label))
        return replace(found, label=flipped, groups=groups)

    detector: Any = build(name, by="g", labels=LABELS, alpha=EVER)
    return labels_world(detector, drawn, 0.0, detector.maximum)


def main() -> None:
    """The table."""
    print("| alarm | the smallest change, as `retuned check` says it | seen | half of it |")
    print("|---|---|---|---|")
    for name in sys.argv[1:] or sorted(WORLDS):
        world = WORLDS[name]()
        soon, days_n = world.soon(), FEWER_DAYS_N if world.quiet else DAYS_N
        assert soon.smallest is not None, soon.says
        shares = [world.seen(figure, days_n) / days_n for figure in (soon.smallest, halfway(world, soon.smallest))]
        print(f"| `{name}` | {soon.says} | {shares[0]:.0%} | {shares[1]:.0%} |", flush=True)


if __name__ == "__main__":
    main()
