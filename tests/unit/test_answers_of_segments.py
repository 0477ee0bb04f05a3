"""Drift of answers within segments: whose records are looked at, when there are too few, what is kept, and what is said of harm."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast

import numpy as np
import pytest

from daemon.decide.cause import Harm, diagnose
from daemon.decide.labelled import Labelled
from daemon.decide.monitors.all import groups
from daemon.decide.monitors.answers import answers
from daemon.decide.monitors.rates import spread
from daemon.decide.monitors.segments import watched_values
from daemon.settings import ModelSettings
from daemon.store import codec
from daemon.watch import Watch
from daemon.watched.seen.day import Day
from daemon.watched.soon import soon_seen
from detectors.checks import copes_without_a_reference, is_documented, is_pure, says_insufficient_on_nothing, takes_an_empty_pane_as_no_step
from detectors.of_reference import filled
from detectors.registry import build
from detectors.rhythm import Rhythm
from detectors.sequential.column_of_segment import CategoryOfSegment, NumericOfSegment
from detectors.sequential.segment import Segment
from detectors.sketches.records import AT
from detectors.types import Detector, Increment, Kind, Outcome, Pairs, Reference, Verdict

FR = Segment(column="input.shop", value="fr")
START = datetime(2026, 1, 5, tzinfo=UTC).timestamp()
OF = {"conformal_category": (CategoryOfSegment, "output.label"), "conformal_numeric": (NumericOfSegment, "output.score")}
Columns = dict[str, Any]


def columns(rng: np.random.Generator, n: int, *, refunds: float = 0.2, fr: float = 0.3) -> Columns:
    """Shops, some of them unknown; of the French ones so many say refund, and with a score that is higher the more do."""
    shop = rng.choice(np.array(["fr", "de", None], dtype=object), size=n, p=[fr, 0.9 - fr, 0.1])
    is_fr = shop == "fr"
    label = np.where(rng.random(n) < np.where(is_fr, refunds, 0.2), "refund", "none").astype(object)
    score = np.where(rng.random(n) < 0.05, np.nan, rng.random(n) + (refunds - 0.2) * is_fr)
    return {"input.shop": shop, "output.label": label, "output.score": score, AT: START + np.sort(rng.uniform(0.0, 86_400.0, n))}


def of_fr(found: Columns) -> Columns:
    return {s: values[found["input.shop"] == "fr"] for s, values in found.items()}


def renamed(found: Columns, of: str, to: str) -> Columns:
    """A column by another name: who ranks draws by it."""
    return {to if s == of else s: values for s, values in found.items()}


def reference(found: Columns) -> Reference:
    return Reference(columns=found, kinds={}, sketches={}, bound=Pairs.empty(), digest="")


def pane(i: int, found: Columns) -> Increment:
    at = datetime.fromtimestamp(START + 3600.0 * i, UTC)
    return Increment(start=at, end=at, columns=found, pairs=Pairs.empty(), n=len(next(iter(found.values()), ())))


def folded(detector: Any, known: Columns, news: list[Columns]) -> list[Verdict]:
    state = fresh = detector.start(reference(known))
    found = []
    for i, one in enumerate(news):
        state, verdict = detector.step(filled(codec.decode(codec.encode(state), type(state)), fresh), pane(i, one))  # as a restart reads it
        found.append(verdict)
    return found


@pytest.mark.parametrize("rhythm", [Rhythm.NONE, Rhythm.HOUR_OF_DAY])
@pytest.mark.parametrize("name", [*OF])
def test_a_column_within_a_segment_says_what_one_says_that_is_given_its_records_only(name: str, rhythm: Rhythm) -> None:
    rng, (cls, column) = np.random.default_rng(1), OF[name]
    known, news = columns(rng, 3000), [columns(rng, n, refunds=p) for n, p in [(200, 0.2), (0, 0.2), (200, 0.6), (200, 0.6)]]
    news.insert(1, columns(rng, 100, fr=0.0))  # no record of the shop
    within = cls(column=column, alpha=1e-4, within=FR, rhythm=rhythm)
    alone = build(name, column=within.subject, alpha=1e-4, rhythm=rhythm)
    own = [renamed(of_fr(one), column, within.subject) for one in news]
    said, told = folded(within, known, news), folded(alone, renamed(of_fr(known), column, within.subject), own)
    for one, other in zip(said, told, strict=True):
        assert replace(one, because=other.because) == other
        assert (one.subject, one.because) == (f"{column}[shop=fr]", f"shop=fr: {other.because}")
    assert [v.evidence for v in said[1:3]] == 2 * [said[0].evidence]
    assert said[-1].n <= sum(len(one[within.subject]) for one in own)


def test_one_shops_change_alarms_there_and_in_no_other_and_names_shop_value_and_figure() -> None:
    rng = np.random.default_rng(2)
    known, quiet = columns(rng, 3000), [columns(rng, 200) for _ in range(5)]
    moved = [columns(rng, 200, refunds=0.4) for _ in range(8)]
    fr, de = (CategoryOfSegment(column="output.label", alpha=1e-5, within=replace(FR, value=shop)) for shop in ("fr", "de"))
    said = folded(fr, known, quiet + moved)
    assert {v.outcome for v in said[:5]} == {Outcome.OK}
    assert said[-1].outcome is Outcome.ALARM
    assert said[-1].because.startswith("shop=fr: the share of ")
    assert said[-1].value > 0.1  # refunds rose by .2, on the last panes that count
    assert said[-1].e_value is not None
    assert said[-1].e_value.log10_e > 2.0
    assert {v.outcome for v in folded(de, known, quiet + moved)} == {Outcome.OK}


def test_without_rows_or_columns_of_the_segment_nothing_is_said() -> None:
    rng = np.random.default_rng(3)
    known, news = columns(rng, 300, fr=0.0), columns(rng, 300, refunds=0.9)
    for cls, column in OF.values():
        detector = cls(column=column, alpha=1e-2, within=FR)
        (unknown,) = folded(detector, known, [news])
        assert (unknown.outcome, unknown.because) == (Outcome.INSUFFICIENT, "shop=fr: the reference has no values of this column")
        whole = columns(rng, 300)
        for bare in ({}, {column: news[column]}, {"input.shop": news["input.shop"]}):
            assert folded(detector, whole, [bare])[0].outcome is Outcome.INSUFFICIENT
        for check in (is_documented, says_insufficient_on_nothing, copes_without_a_reference, is_pure, takes_an_empty_pane_as_no_step):
            check(cls)  # those of the contract that ask for no record of the segment
    with pytest.raises(TypeError, match="within"):
        CategoryOfSegment(column="output.label", alpha=0.1)  # type: ignore[call-arg]  # of no segment


MODEL = {"name": "m", "columns": {"shop": "category", "x": "numeric"}}


@pytest.mark.parametrize(
    ("task", "drift", "watched"),
    [
        ("tabular-classification", {}, ["output.label[shop=fr]", "output.score[shop=fr]"]),
        ("tabular-classification", {"columns": ["label", "x"]}, ["output.label[shop=fr]"]),
        ("tabular-classification", {"columns": ["x"]}, []),
        ("tabular-classification", None, []),
        ("tabular-regression", {}, ["output.value[shop=fr]"]),
        ("text-generation", {}, []),
    ],
)
def test_answers_are_watched_within_segments_where_drift_watches_them(task: str, drift: dict[str, Any] | None, watched: list[str]) -> None:
    said = {**MODEL, "task": task, "monitors": {"segments": {"by": ["shop"], "least_n": 40}, "drift": drift}}
    found = ModelSettings.model_validate(said)
    few = np.array(["fr"] * 40 + ["uk"] * 39, dtype=object)  # one shop has too few rows
    values = watched_values(found, {"input.shop": few})
    assert [d.subject for d in answers(found, values, found.subjects())] == watched
    assert answers(found, values, {"input.x"}) == []
    days = None if drift is None else {**drift, "mean_days_between_false_alarms": 10}
    timed = {**said, "reference": {"rhythm": "hour_of_day"}, "monitors": {"segments": ["shop"], "drift": days}}
    of_drift: Any = next(g for g in groups(ModelSettings.model_validate(timed), has_bound=False, values=values) if g.name == "drift")
    alarming: list[Any] = [d for d in spread([of_drift], days=90, pane_s=60.0) if d.kind is Kind.ALARMS]
    assert sum(d.alpha for d in alarming) == pytest.approx(60 / 864_000 if days else 0.0)  # columns of the whole and of segments share it
    assert {d.rhythm for d in alarming if d.subject.endswith("[shop=fr]")} == ({Rhythm.HOUR_OF_DAY} if watched else set())


def test_check_says_what_is_seen_at_the_segments_share_of_the_traffic() -> None:
    rng = np.random.default_rng(4)
    known = reference(columns(rng, 3000))
    of = [cls(column=column, alpha=1e-6, within=FR) for cls, column in OF.values()]
    whole = [build(name, column=column, alpha=1e-6) for name, (_, column) in OF.items()]
    day = Day(records_n=2000.0, labels_n=None)
    for part, both in zip(soon_seen(of, known, day), soon_seen(whole, known, day), strict=True):
        assert part.subject == f"{both.subject}[shop=fr]"
        assert part.smallest is not None
        assert both.smallest is not None
        assert part.smallest > both.smallest
    own = Day(records_n=2000.0 * FR.share(known.columns), labels_n=None)
    (alone,) = soon_seen([whole[1]], reference(of_fr(dict(known.columns))), own)
    assert alone.says == soon_seen([of[1]], known, day)[0].says


def test_labels_of_all_records_do_not_acquit_what_moved_in_one_segment_alone() -> None:
    subjects = {"conformal_category:output.label[shop=fr]": {"subject": "output.label[shop=fr]", "kind": "drift"}}
    fine = Labelled(n=400, errors_n=20, limit=0.15)
    assert diagnose(subjects, fine).harm is Harm.BENIGN  # were it the whole's
    found = diagnose(subjects, fine, within=["output.label[shop=fr]"])
    assert found.harm is Harm.UNKNOWN
    assert "below the 0.150 that the bound and its tolerance allow, over all records; not proven for output.label[shop=fr]" in found.because


def test_what_moved_in_the_whole_as_well_is_not_of_segments_alone() -> None:
    fr, uk = (CategoryOfSegment(column="output.label", alpha=0.01, within=replace(FR, value=shop)) for shop in ("fr", "uk"))
    whole: Any = build("conformal_category", column="output.label", alpha=0.01)
    watch = Watch(
        model=ModelSettings.model_validate({**MODEL, "task": "tabular-classification"}),
        version="1",
        epoch=1,
        reference=reference({}),
        key="",
        detectors=[whole, cast("Detector", fr), cast("Detector", uk)],
    )
    key, other = (f"conformal_category:output.label[shop={shop}]" for shop in ("fr", "uk"))
    assert watch.moved_within({key, "conformal_category:input.shop"}) == ["output.label[shop=fr]"]
    assert watch.moved_within({key, other, "conformal_category:output.label"}) == []
    alone = {key, "conformal_category:output.label"}  # the shop pulls the whole along: its own labels are few among all
    assert watch.moved_within(alone) == ["output.label[shop=fr]"]
    watch.reference = reference(columns(np.random.default_rng(5), 300, fr=0.8))
    assert watch.moved_within(alone) == []
    assert watch.is_of_segments([key])
