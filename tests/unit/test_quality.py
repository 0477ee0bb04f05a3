"""Quality of data: what is counted as which fault, against which limit, and what it is worth."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy.stats import binomtest

from daemon.decide.incident import AlarmKind, alarm_kind, fold
from daemon.decide.monitors.all import monitors
from daemon.decide.policy import stand
from daemon.settings import ModelSettings
from daemon.store import codec
from daemon.store.building import Building
from daemon.store.columns import Reader
from daemon.store.reference import load_reference
from daemon.store.spooled import records_of, rows_of
from detectors.quality.cardinality import expected
from detectors.quality.fault import RiseState
from detectors.registry import build
from detectors.sketches.confusion import Confusion
from detectors.sketches.hits import Hits
from detectors.sketches.records import BLOCK_N, CONTENT, RECORD, repeating_blocks, summarise_records
from detectors.sketches.summary import merge_summaries, summarise, summary_from_bytes, summary_to_bytes
from detectors.types import ColumnKind, Eats, EDetectorValue, Increment, Outcome, Pairs, PValue, Reference, Verdict, Window

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_AT = datetime(2026, 1, 1, tzinfo=UTC)
_KINDS = {"input.age": ColumnKind.NUMERIC, "input.channel": ColumnKind.CATEGORY}


def _reference(**columns: Any) -> Reference:
    named = {f"input.{name}": values for name, values in columns.items()}
    sketches = dict(summarise(named, _KINDS))
    for found in sketches.values():
        found["wrong"] = Hits(n=len(next(iter(columns.values()))))
    kinds = {s: _KINDS[s] for s in named}
    return Reference(columns=named, kinds=kinds, sketches=sketches, bound=Pairs.empty(), digest="d")


def _window(*, wrong: int = 0, traffic: tuple[int, ...] = (), **columns: Any) -> Window:
    named = {f"input.{name}": values for name, values in columns.items()}
    n = len(next(iter(columns.values()), ()))
    sketches = dict(summarise(named, _KINDS))
    for found in sketches.values():
        found["wrong"] = Hits(n=n, k=wrong)
    end = _AT + timedelta(hours=1)
    return Window(model="m", version="1", start=_AT, end=end, n_seen=n, n=n, sketches=sketches, confusion=Confusion(), traffic=traffic)


def _look(name: str, window: Window, reference: Reference | None = None, **settings: Any) -> Verdict:
    detector = build(name, **settings)
    verdict: Verdict = detector.step(detector.start(reference or _reference(age=np.arange(100.0))), window)[1]
    return verdict


def _objects(values: list[Any]) -> Any:
    found = np.empty(len(values), dtype=object)
    found[:] = values
    return found


def _model(**columns: Any) -> ModelSettings:
    return ModelSettings.model_validate({"name": "m", "task": "tabular-regression", "columns": columns})


def _record(i: int, inputs: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": f"r{i}",
        "model": "m",
        "version": "1",
        "at": f"2026-11-01T00:{i // 60 % 60:02d}:{i % 60:02d}Z",
        "inputs": inputs,
        "output": {"value": 1.0},
    }


AT = datetime(2026, 11, 1, tzinfo=UTC).timestamp()
"""Of record 0; the next one is a second later."""

# -- what is wrong where records are read

_WRONG = {
    "age": ([31, 31.5, True, "12.5", None, "n/a", [1], {}, "nan"], {5, 6, 7, 8}),
    "text": (["a", "", None, 3, True, ["a"]], {3, 4, 5}),
    "channel": (["web", None, 3, True, 2.5, ["web"], {"a": 1}], {5, 6}),
}


@pytest.mark.parametrize("column", _WRONG)
@pytest.mark.parametrize("before", [0, 1500])
def test_a_value_that_does_not_read_as_the_columns_kind_is_wrong_and_one_that_was_not_sent_is_not(column: str, before: int) -> None:
    values, wrong = _WRONG[column]
    model = _model(age="numeric", text="text", channel="category")
    items = [_record(i, {}) for i in range(before)] + [_record(before + i, {column: v}) for i, v in enumerate(values)]
    frame = Reader(model).frame([b"\n".join(json.dumps(item).encode() for item in items)])
    assert {s: set(rows.tolist()) for s, rows in frame.wrong.items()} == {f"input.{column}": {before + i for i in wrong}}


def test_a_pane_counts_wrong_values_and_times_and_survives_the_ledger(tmp_path: Path) -> None:
    model = _model(age="numeric", channel="category")
    items = [_record(i, {"age": "n/a" if i % 10 == 0 else i, "channel": "web"}) for i in range(100)]
    records = records_of(b"\n".join(json.dumps(item).encode() for item in items))
    built = Building(model).build(rows_of(records), tmp_path / "pane.parquet")
    summary = summary_from_bytes(built.summary)
    assert summary["input.age"]["wrong"] == Hits(n=100, k=10)
    assert summary["input.channel"]["wrong"] == Hits(n=100)
    assert "wrong" not in summary["output.value"]
    assert (summary[RECORD]["at"].low, summary[RECORD]["at"].high) == (AT, AT + 99)  # type: ignore[union-attr]  # moments
    assert summary[RECORD]["repeats"] == Hits(n=3, k=3)
    assert len(np.unique(built.columns[CONTENT])) == 91  # ten records say the same
    both = summary_from_bytes(summary_to_bytes(merge_summaries(summary, summary)))
    assert both["input.age"]["wrong"] == Hits(n=200, k=20)


def test_a_reference_with_a_value_that_is_no_number_is_read_and_says_so(tmp_path: Path) -> None:
    rows = [{"inputs": {"age": "n/a" if i == 7 else i}, "output": {"value": 1.0}} for i in range(50)]
    (tmp_path / "r.jsonl").write_text("\n".join(map(json.dumps, rows)))
    reference = load_reference(_model(age="numeric"), tmp_path / "r.jsonl", None)
    assert reference.sketches["input.age"]["wrong"] == Hits(n=50, k=1)
    assert np.isnan(reference.columns["input.age"][7])
    assert reference.columns[CONTENT].shape == (50,)


# -- rates in a window


def test_the_missing_share_is_exact_and_leaves_out_what_could_not_be_read() -> None:
    age = np.arange(1000.0) % 90
    age[:70] = np.nan
    verdict = _look("missing", _window(age=age, wrong=20), _reference(age=np.arange(5000.0) % 90), column="input.age")
    exact = binomtest(50, 1000).proportion_ci(confidence_level=0.99, method="exact")
    assert (verdict.value, verdict.low, verdict.high) == pytest.approx((0.05, exact.low, exact.high))
    assert verdict.limit == pytest.approx(0.01 + 1 - 0.01 ** (1 / 5000))  # nothing missing in 5,000
    assert verdict.outcome is Outcome.ALARM
    wrong = _look("wrong_type", _window(age=age, wrong=20), _reference(age=np.arange(5000.0)), column="input.age")
    assert (wrong.value, wrong.n, wrong.outcome) == (0.02, 1000, Outcome.OK)  # 0.01 may be, and 20 of 1,000 do not prove more


def test_numbers_beyond_the_users_bounds_are_out_of_range_and_the_references_range_has_a_margin() -> None:
    reference = _reference(age=np.linspace(0.0, 100.0, 2001))
    now = np.concatenate([np.linspace(0.0, 109.0, 900), np.full(100, 111.0)])
    assert _look("out_of_range", _window(age=now), reference, column="input.age").value == 0.1
    assert _look("out_of_range", _window(age=now[:900]), reference, column="input.age").value == 0.0
    own = _look("out_of_range", _window(age=now), reference, column="input.age", minimum=0.0, maximum=120.0)
    assert (own.value, own.limit) == (0.0, pytest.approx(0.01 + 1 - 0.01 ** (1 / 2001)))
    half = _look("out_of_range", _window(age=np.linspace(0.0, 100.0, 1000)), reference, column="input.age", maximum=50.0)
    assert half.outcome is Outcome.OK  # half of the reference is beyond, too


def test_the_share_out_of_range_holds_the_sketchs_error() -> None:
    rng = np.random.default_rng(0)
    reference, now = _reference(age=rng.random(10_000)), np.append(rng.random(95_000), np.full(5000, 3.0))
    verdict = _look("out_of_range", _window(age=now), reference, column="input.age")
    assert verdict.low < 0.05 < verdict.high
    assert verdict.value == pytest.approx(0.05, abs=0.003)


def test_a_new_category_counts_and_the_limit_is_how_often_the_reference_itself_brought_one() -> None:
    old, new = _objects(["web", "shop"] * 500), _objects(["web"] * 460 + ["fax"] * 40)
    verdict = _look("unseen_category", _window(channel=new), _reference(channel=old), column="input.channel")
    assert (verdict.value, verdict.outcome) == (0.08, Outcome.ALARM)
    assert verdict.limit == pytest.approx(0.01 + 1 - 0.01 ** (1 / 200))
    rich = _objects([f"kind {i}" for i in range(900)])
    assert _look("unseen_category", _window(channel=new), _reference(channel=rich), column="input.channel").outcome is Outcome.INSUFFICIENT
    ids = _objects([f"id {i}" for i in range(1500)])
    verdict = _look("unseen_category", _window(channel=new), _reference(channel=ids), column="input.channel")
    assert (verdict.outcome, "no limit can be set" in verdict.because) == (Outcome.INSUFFICIENT, True)


def test_a_content_that_comes_twice_within_a_block_is_found_and_one_a_block_later_is_not() -> None:
    contents = np.arange(4 * BLOCK_N)
    assert not repeating_blocks(contents).any()
    contents[5] = contents[20]
    contents[BLOCK_N] = contents[0]
    assert repeating_blocks(contents).tolist() == [True, False, False, False]
    assert repeating_blocks(contents[: BLOCK_N - 1]).tolist() == []


def test_of_a_large_pane_the_first_records_are_looked_at_for_contents_that_come_twice() -> None:
    frame = Reader(_model(age="numeric")).frame([b"\n".join(json.dumps(_record(i, {"age": 5})).encode() for i in range(4500))])
    assert frame.contents.shape == (4500,)
    assert repeating_blocks(frame.contents).tolist() == [True] * (2000 // BLOCK_N)


def _sent(alpha: float, known: NDArray[np.int64], panes: list[NDArray[np.int64]]) -> tuple[Any, Any]:
    detector = build("duplicate_content_rise", alpha=alpha)
    state = detector.start(Reference(columns={CONTENT: known}, kinds={}, sketches={}, bound=Pairs.empty(), digest="d"))
    for contents in panes:
        state, verdict = detector.step(state, Increment(start=_AT, end=_AT, columns={CONTENT: contents}, pairs=Pairs.empty(), n=10))
    return state, verdict


def test_a_content_is_remembered_from_pane_to_pane_so_that_little_traffic_is_looked_at_too() -> None:
    quiet, verdict = _sent(0.01, np.arange(2000), [np.arange(10) + 10 * i for i in range(20)])
    assert (quiet.share.n, quiet.share.errors_n, verdict.value) == (200 - 15, 0, 0.0)
    again, verdict = _sent(0.01, np.arange(2000), [np.arange(10) + 10 * (i % 2) for i in range(20)])  # each comes once more after 20
    assert (again.share.n, again.share.errors_n, verdict.outcome) == (9 * 6, 9, Outcome.ALARM)  # 15 rest, five are new, one comes again
    assert "of the last 49 records have a content of the 31 before them" in verdict.because  # since the evidence last rested


def test_a_batch_that_is_sent_again_is_one_repetition_and_a_sender_who_repeats_every_tenth_record_alarms() -> None:
    records = np.arange(4000)
    batches = np.concatenate([np.tile(records[i : i + 12], 2) if i % 360 == 0 else records[i : i + 12] for i in range(0, 4000, 12)])
    state, verdict = _sent(0.01, np.arange(2000), np.array_split(batches, 40))
    assert (state.share.errors_n, verdict.outcome) == (12, Outcome.OK)  # so many batches came twice
    state, verdict = _sent(0.01, np.arange(2000), np.array_split(np.repeat(records, np.where(records % 10, 1, 2)), 40))
    assert verdict.outcome is Outcome.ALARM


def test_the_evidence_of_blocks_that_an_older_release_wrote_is_not_taken_for_that_of_records() -> None:
    state, _ = _sent(0.01, np.arange(2000), [np.arange(40)])
    assert codec.encode(codec.decode(codec.encode(state), type(state))) == codec.encode(state)
    older = RiseState(known=state.known, share=state.share, tail=state.tail)
    with pytest.raises(ValueError, match="expected a state of ContentState, found RiseState"):
        codec.decode(codec.encode(older), type(state))


# -- what is not a rate


def test_categories_expected_are_those_of_a_draw_from_the_reference() -> None:
    counts, rng = np.asarray([500, 200, 100, 50, 5, 3, 1, 1], dtype=float), np.random.default_rng(1)
    rows = np.repeat(np.arange(8), counts.astype(int))
    for n in (50, 300):
        draws = [len(np.unique(rng.choice(rows, n, replace=False))) for _ in range(3000)]
        least, most, _ = expected(counts, n)
        assert least == pytest.approx(np.mean(draws), abs=0.05)
        assert most >= least
    assert expected(counts, 860)[0] == pytest.approx(8.0)


def test_the_share_of_the_most_frequent_number_holds_the_sketchs_error() -> None:
    held, reference = 0, _reference(age=np.random.default_rng(0).normal(size=2000))
    for seed in range(20):
        rng = np.random.default_rng(seed)
        values = rng.normal(size=1_000_000)
        values[rng.random(1_000_000) < 0.01] = 0.0
        verdict = _look("constant", _window(age=values), reference, column="input.age")
        held += verdict.low <= 0.01 <= verdict.high
    assert held >= 18  # at .99


def test_a_window_with_one_value_is_a_hanging_sensor_unless_the_reference_is_like_that() -> None:
    rng = np.random.default_rng(2)
    reference = _reference(age=np.round(rng.normal(40, 10, 2000)))
    hangs = _look("constant", _window(age=np.full(40, 41.0)), reference, column="input.age")
    assert isinstance(hangs.evidence, PValue)
    assert (hangs.outcome, hangs.value) == (Outcome.ALARM, 1.0)
    assert hangs.evidence.p < 1e-20
    rare = _reference(age=(rng.random(2000) < 0.005).astype(float))
    assert _look("constant", _window(age=np.zeros(100)), rare, column="input.age").outcome is Outcome.OK
    assert _look("constant", _window(age=rng.normal(size=5000)), reference, column="input.age").value < 0.01


def test_records_that_come_late_are_stale() -> None:
    old = _window(age=np.arange(50.0))
    ats = np.full(50, _AT.timestamp() + 600.0)
    late = Window(**{**{f: getattr(old, f) for f in old.__dataclass_fields__}, "sketches": {RECORD: summarise_records(np.arange(50), ats)}})
    assert (_look("staleness", late).value, _look("staleness", late).outcome) == (3000.0, Outcome.ALARM)
    assert _look("staleness", late, limit_s=3600.0).outcome is Outcome.OK
    assert _look("staleness", old).outcome is Outcome.INSUFFICIENT


def test_traffic_is_compared_with_the_same_hours_and_steady_days_make_it_sure() -> None:
    steady, wild = (1000, 1010, 990, 1005, 995), (100, 4000, 900, 30, 6000)
    assert _look("traffic", _window(traffic=(400, *steady))).outcome is Outcome.ALARM
    assert _look("traffic", _window(traffic=(400, *wild))).outcome is Outcome.OK
    assert _look("traffic", _window(traffic=(1900, *steady))).outcome is Outcome.OK
    assert _look("traffic", _window(traffic=(5000, *steady))).outcome is Outcome.ALARM
    assert _look("traffic", _window(traffic=(400, *steady[:2]))).outcome is Outcome.INSUFFICIENT


# -- the sequential ones, and what they lead to


@pytest.mark.parametrize("name", ["missing", "wrong_type", "out_of_range"])
def test_a_rate_that_rises_alarms_within_some_panes_and_the_tolerance_does_not(name: str) -> None:
    rng = np.random.default_rng(3)
    detector = build(f"{name}_rise", column="input.age", alpha=1e-4)

    def pane(rate: float) -> Increment:
        age, bad = rng.random(200), rng.random(200) < rate
        wrong = {"input.age": int(bad.sum())} if name == "wrong_type" else {}
        age[bad] = 9.0 if name == "out_of_range" else np.nan
        return Increment(start=_AT, end=_AT, columns={"input.age": age}, pairs=Pairs.empty(), n=200, wrong=wrong)

    state = detector.start(_reference(age=rng.random(5000)))
    for _ in range(300):
        state, verdict = detector.step(state, pane(0.008))
        assert verdict.outcome is Outcome.OK
    for _ in range(8):
        state, verdict = detector.step(state, pane(0.05))
    assert verdict.outcome is Outcome.ALARM
    assert isinstance(verdict.evidence, EDetectorValue)
    assert verdict.low > 0.008
    assert verdict.because.startswith("input.age: ")


def test_a_quality_alarm_opens_an_incident_of_its_own_kind_and_never_trains() -> None:
    evidence = EDetectorValue(log10_e=9.0, alpha=0.01)
    said = {"outcome": Outcome.ALARM, "evidence": evidence, "value": 0.5, "low": 0.4, "high": 0.6, "n": 10, "because": "b"}
    missing = Verdict(detector="missing_rise", subject="input.age", **said)  # type: ignore[arg-type]  # as above
    risk = Verdict(detector="risk_change", subject="risk", **said)  # type: ignore[arg-type]  # as above
    assert alarm_kind("missing_rise") is alarm_kind("duplicate_id_rise") is alarm_kind("traffic") is AlarmKind.QUALITY
    incident, _ = fold(None, [missing], model="m", epoch=1, now=0.0, quiet_s=60.0)
    assert incident is not None
    assert stand({}, [missing], incident) == {}
    both, _ = fold(incident, [missing, risk], model="m", epoch=1, now=1.0, quiet_s=60.0)
    assert both is not None
    assert not both.harmful  # damaged data beside a loss is no drift


def test_each_column_gets_the_monitors_that_fit_it_and_all_share_the_rate() -> None:
    columns = {"age": {"kind": "numeric", "minimum": 0}, "text": "text", "band": {"kind": "category", "protected": True}}
    model = ModelSettings.model_validate({"name": "m", "task": "text-generation", "columns": columns, "monitors": {"drift": None}})
    found = [(d.name, d.subject) for d in monitors(model, has_bound=False, seen=["input.age", "input.text", "segment.band"])]
    rising = {(name, subject) for name, subject in found if name.endswith("_rise")}
    assert rising == {
        ("missing_rise", "input.age"),
        ("wrong_type_rise", "input.age"),
        ("out_of_range_rise", "input.age"),
        ("missing_rise", "input.text"),
        ("wrong_type_rise", "input.text"),
        ("missing_rise", "segment.band"),
        ("wrong_type_rise", "segment.band"),
        ("unseen_category_rise", "segment.band"),
        ("duplicate_content_rise", "record.content"),
        ("duplicate_id_rise", "record.id"),
    }
    informing = set(found) - rising
    assert {("constant", "input.age"), ("cardinality", "segment.band"), ("staleness", "record.at"), ("traffic", "record.n")} <= informing
    assert {(name.removesuffix("_rise"), subject) for name, subject in rising} <= informing
    named = model.model_copy(update={"monitors": model.monitors.model_copy(update={"quality": None})})
    assert [d for d in monitors(named, has_bound=False) if Eats.FAULTS in d.eats] == []
