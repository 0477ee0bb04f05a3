"""Inputs within segments: whose records are looked at, in how many cells, which columns have room, and what is said of them."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from rich.console import Console

from daemon.check.read import SettingsError, load_settings
from daemon.decide.monitors.all import groups, monitors
from daemon.decide.monitors.inputs import watched_inputs
from daemon.decide.monitors.rates import promised_days
from daemon.settings import ModelSettings, Settings
from daemon.settings_monitors import SegmentSettings
from daemon.store import codec
from daemon.watch import Watch
from daemon.watched.table import show_watched
from daemon.watched.traffic import Traffic
from detectors.checks import copes_without_a_reference, is_documented, is_pure, says_insufficient_on_nothing, takes_an_empty_pane_as_no_step
from detectors.of_reference import filled
from detectors.registry import build
from detectors.rhythm import Rhythm
from detectors.sequential.column_of_segment import CategoryOfSegment
from detectors.sequential.input_of_segment import MissingWithin, NumberWithin, TextWithin
from detectors.sequential.joined_cells import joined, with_joined
from detectors.sequential.number_cells import cells_by_hour
from detectors.sequential.segment import Segment
from detectors.sequential.urn import cells_of
from detectors.sketches.records import AT
from detectors.sketches.summary import summarise
from detectors.types import ColumnKind, Increment, Kind, Outcome, Pairs, Reference, Verdict

FR = Segment(column="input.shop", value="fr")
START = datetime(2026, 1, 5, tzinfo=UTC).timestamp()
KINDS = {"input.shop": ColumnKind.CATEGORY, "input.age": ColumnKind.NUMERIC, "input.text": ColumnKind.TEXT}
WORDS = np.array([f"word{i}" for i in range(300)], dtype=object)
Columns = dict[str, Any]


def columns(rng: np.random.Generator, n: int, *, fr: float = 0.3, missing: float = 0.02, up: float = 0.0, words: int = 12) -> Columns:
    """Shops, some of them unknown; the French one's ages are missing so often and so much higher, its texts so long."""
    shop = rng.choice(np.array(["fr", "de", None], dtype=object), size=n, p=[fr, 0.9 - fr, 0.1])
    is_fr = shop == "fr"
    age = np.where(rng.random(n) < np.where(is_fr, missing, 0.02), np.nan, (40 + 10 * rng.normal(size=n)).round() + up * is_fr)
    text = np.empty(n, dtype=object)
    text[:] = [" ".join(rng.choice(WORDS, size=rng.poisson(words if of else 12))) for of in is_fr]
    text[rng.random(n) < np.where(is_fr, missing, 0.02)] = None
    return {"input.shop": shop, "input.age": age, "input.text": text, AT: START + np.sort(rng.uniform(0.0, 86_400.0, n))}


def of_fr(found: Columns) -> Columns:
    return {s: values[found["input.shop"] == "fr"] for s, values in found.items()}


def reference(found: Columns) -> Reference:
    kinds = {s: kind for s, kind in KINDS.items() if s in found}
    return Reference(columns=found, kinds=kinds, sketches=summarise(found, kinds), bound=Pairs.empty(), digest="")


def folded(detector: Any, known: Columns, news: list[Columns], *, state: Any = None, wrong_n: int = 7) -> list[Verdict]:
    state = fresh = detector.start(reference(known)) if state is None else state
    found = []
    for i, one in enumerate(news):
        at = datetime.fromtimestamp(START + 3600.0 * i, UTC)
        pane = Increment(
            start=at, end=at, columns=one, pairs=Pairs.empty(), n=len(next(iter(one.values()), ())), wrong={"input.age": wrong_n}
        )
        state, verdict = detector.step(filled(codec.decode(codec.encode(state), type(state)), fresh), pane)  # as a restart reads it
        found.append(verdict)
    return found


@pytest.mark.parametrize("rhythm", [Rhythm.NONE, Rhythm.HOUR_OF_DAY])
@pytest.mark.parametrize(("cls", "column"), [(NumberWithin, "input.age"), (TextWithin, "input.text"), (MissingWithin, "input.age")])
def test_an_input_within_a_segment_says_what_one_says_that_is_given_its_records_only(cls: Any, column: str, rhythm: Rhythm) -> None:
    rng = np.random.default_rng(1)
    known, news = columns(rng, 3000), [columns(rng, n, missing=p) for n, p in [(200, 0.02), (0, 0.02), (200, 0.3), (200, 0.3)]]
    news.insert(1, columns(rng, 100, fr=0.0))  # no record of the shop
    within = cls(column=column, alpha=1e-4, within=FR, rhythm=rhythm)
    named = within.subject if cls is not MissingWithin else column  # who ranks draws by it
    alone = build(cls.name, column=named, alpha=1e-4, rhythm=rhythm)
    fr = {named if s == column else s: values for s, values in of_fr(known).items()}
    state = alone.start(reference(fr))
    if cls is NumberWithin:
        state = with_joined(state, rhythm)
    elif cls is TextWithin:
        state = replace(state, figures=tuple(with_joined(figure, rhythm) for figure in state.figures))
    own = [{named if s == column else s: values for s, values in of_fr(one).items() if s in {column, AT}} for one in news]
    told = folded(alone, fr, own, state=state, wrong_n=0)  # of all records what does not read is none that is missing
    for one, other in zip(folded(within, known, news), told, strict=True):
        assert replace(one, subject=named, because=other.because) == other
        assert one.subject == f"{column}[shop=fr]"
        assert "shop=fr" in one.because
    assert len(codec.encode(within.start(reference(known)))) < {"input.age": 25_000, "input.text": 160_000}[column]


def test_joined_cells_are_those_cells_joined_ties_and_missing_among_them() -> None:
    rng = np.random.default_rng(2)
    for values in (rng.normal(size=700), np.append(rng.integers(0, 9, 400).astype(float), [-np.inf] * 90), np.zeros(300), np.arange(40.0)):
        (whole,) = cells_by_hour(values, {}, Rhythm.NONE, 0.01)
        few = joined(whole, 16)
        n = len(whole.keys)
        kept = np.arange(n) if n <= 16 else np.unique(np.linspace(0, n - 1, 16).round().astype(int))
        assert len(few.keys) == len(kept)
        assert (few.gaps.sum(), few.weights.sum(), few.radius) == (whole.gaps.sum(), whole.weights.sum(), whole.radius)
        new, u = np.concatenate([rng.choice(values, 400), rng.normal(0, 3, 400), [-np.inf, np.inf]]), rng.random(802)
        before, after = (cells_of(c.values, c.keys, new, u) for c in (whole, few))
        assert (after == np.searchsorted(kept, before, side="left")).all()
        expected = np.bincount(np.searchsorted(kept, np.arange(n + 1), side="left"), weights=whole.gaps)
        assert few.gaps.tolist() == expected.tolist()


def test_one_shop_that_sends_empty_values_alarms_there_and_nowhere_else_and_is_said_to() -> None:
    rng = np.random.default_rng(3)
    known, quiet = columns(rng, 3000), [columns(rng, 200) for _ in range(6)]
    moved = [columns(rng, 200, missing=0.3) for _ in range(6)]
    for column, noun in (("input.age", "missing or unreadable"), ("input.text", "missing or unreadable")):
        fr, de = (MissingWithin(column=column, alpha=1e-7, within=replace(FR, value=shop)) for shop in ("fr", "de"))
        said = folded(fr, known, quiet + moved)
        assert {v.outcome for v in said[:6]} == {Outcome.OK}
        assert said[-1].outcome is Outcome.ALARM
        assert said[-1].because.startswith(f"{column}[shop=fr]: ")
        assert noun in said[-1].because
        assert said[-1].e_value is not None
        assert said[-1].e_value.log10_e > 2.0
        assert {v.outcome for v in folded(de, known, quiet + moved)} == {Outcome.OK}
    age = NumberWithin(column="input.age", alpha=1e-7, within=FR)
    assert "in the newest pane are missing or unreadable" in folded(age, known, quiet + moved)[-1].because
    for cls, column, change in ((NumberWithin, "input.age", {"up": 15.0}), (TextWithin, "input.text", {"words": 4})):
        fr, de = (cls(column=column, alpha=1e-7, within=replace(FR, value=shop)) for shop in ("fr", "de"))
        moved = [columns(rng, 200, **change) for _ in range(6)]  # type: ignore[arg-type]
        assert folded(fr, known, quiet + moved)[-1].outcome is Outcome.ALARM
        assert {v.outcome for v in folded(de, known, quiet + moved)} == {Outcome.OK}


@pytest.mark.parametrize("cls", [NumberWithin, TextWithin, MissingWithin])
def test_without_rows_or_columns_of_the_segment_nothing_is_said(cls: Any) -> None:
    rng, detector = np.random.default_rng(4), cls.example()
    known, news = columns(rng, 300, fr=0.0), columns(rng, 300, missing=0.9)
    assert folded(detector, known, [news])[0].outcome is Outcome.INSUFFICIENT
    whole = columns(rng, 300)
    for bare in ({}, {detector.column: news[detector.column]}, {"input.shop": news["input.shop"]}):
        assert folded(detector, whole, [bare])[0].outcome is Outcome.INSUFFICIENT
    for check in (is_documented, says_insufficient_on_nothing, copes_without_a_reference, is_pure, takes_an_empty_pane_as_no_step):
        check(cls)


MODEL: dict[str, Any] = {
    "name": "m",
    "task": "tabular-classification",
    "labels": ["no", "yes"],
    "columns": {"shop": "category", "city": "category", "age": "numeric", "note": "text", "sex": {"kind": "category", "protected": True}},
    "monitors": {"segments": ["shop"]},
}
VALUES = {"input.shop": ("fr", "de")}


def model(segments: Any = ("shop",), **more: Any) -> ModelSettings:
    monitored = {"segments": [*segments] if isinstance(segments, tuple) else segments, **more.pop("monitors", {})}
    return ModelSettings.model_validate({**MODEL, **more, "monitors": monitored})


@pytest.mark.parametrize(
    ("segments", "monitored", "moves", "missing", "left"),
    [
        ({}, {}, "city age note sex", "city age note sex", ""),
        ({"inputs": None}, {}, "", "", ""),
        ({"inputs": ["age", "shop"]}, {}, "age", "age", ""),
        ({"inputs": "all"}, {"drift": {"columns": ["age", "label"]}}, "age", "city age note sex", ""),
        ({}, {"quality": {"columns": ["city"]}, "drift": None}, "", "city", ""),
        ({}, {"quality": None}, "city age note sex", "", ""),
        ({"inputs": {"most_n": 6}}, {}, "city age sex", "city age sex", "note"),  # a text counts as eight
        ({"inputs": {"most_n": 6}}, {"drift": {"columns": ["age"]}}, "age", "city age note", "sex"),
    ],
)
def test_inputs_are_watched_within_values_where_they_are_in_the_whole_as_far_as_there_is_room(
    segments: dict[str, Any], monitored: dict[str, Any], moves: str, missing: str, left: str
) -> None:
    found = model({"by": ["shop"], **segments}, monitors=monitored)
    inside = watched_inputs(found, VALUES, found.subjects())
    names = [" ".join(s.split(".", 1)[1] for s in some) for some in (inside.moves, inside.missing, inside.left_out)]
    assert names == [moves, missing, left]
    of_inputs = next(g for g in groups(found, has_bound=True, values=VALUES) if g.name == "inputs").detectors
    assert not [d for d in of_inputs if d.subject.startswith(("input.shop[", "output."))]  # within its own values it is constant
    assert len(of_inputs) == 2 * (len(moves.split()) + len(missing.split()))


def test_a_rhythm_takes_more_room_and_is_kept_within_segments() -> None:
    by_hour = model({"by": ["shop"], "inputs": {"most_n": 30}}, reference={"rhythm": "hour_of_day"})
    inside = watched_inputs(by_hour, VALUES, by_hour.subjects())
    assert [*inside.moves] == ["input.city", "input.age", "segment.sex"]  # 4 x 2 each, 32 x 2 of a text
    moving = [d for d in monitors(by_hour, has_bound=False, values=VALUES) if isinstance(d, NumberWithin | CategoryOfSegment)]
    assert {d.rhythm for d in moving} == {Rhythm.HOUR_OF_DAY}


def test_a_subject_that_the_ledger_cannot_keep_is_left_out() -> None:
    long = "x" * 120
    found = model({"by": [long]}, columns={long: "category", "y" * 128: "numeric", "age": "numeric"})
    inside = watched_inputs(found, {f"input.{long}": ("v" * 64,)}, found.subjects())
    assert [*inside.moves] == ["input.age"]
    assert inside.left_out == (f"input.{'y' * 128}",)


def test_inputs_of_segments_have_a_share_of_their_own_and_the_whole_keeps_what_was_asked_for() -> None:
    off, on = (monitors(model({"by": ["shop"], "inputs": inputs}), has_bound=True, values=VALUES) for inputs in (None, "all"))
    assert promised_days(on, pane_s=60.0) >= 90.0 * (1 - 1e-9)
    before: dict[str, Any] = {f"{d.name}:{d.subject}": d.alpha for d in off if d.kind is Kind.ALARMS}  # type: ignore[attr-defined]
    now: dict[str, Any] = {f"{d.name}:{d.subject}": d.alpha for d in on if d.kind is Kind.ALARMS}  # type: ignore[attr-defined]
    for key in ("conformal_numeric:input.age", "conformal_category:output.label[shop=fr]", "missing_rise:input.age"):
        assert now[key] == pytest.approx(0.8 * before[key], rel=0.02)  # a fifth group beside four: 0.1 more of log10 evidence
    mine = [alpha for key, alpha in now.items() if key not in before]
    assert len(mine) == 2 * 2 * 4
    assert sum(mine) == pytest.approx(0.25 * sum(a for k, a in now.items() if k in before and a < 0.01), rel=0.05)
    own = model({"by": ["shop"], "inputs": {"mean_days_between_false_alarms": 10}})
    by_hand: list[Any] = [
        d for d in monitors(own, has_bound=True, values=VALUES) if d.kind is Kind.ALARMS and f"{d.name}:{d.subject}" not in before
    ]
    assert sum(d.alpha for d in by_hand) == pytest.approx(60 / 864_000)


def test_labels_of_all_records_acquit_no_input_of_one_segment_and_a_text_there_is_of_its_column() -> None:
    found = model()
    detectors = monitors(found, has_bound=True, values=VALUES)
    watch = Watch(model=found, version="1", epoch=1, reference=reference({}), key="", detectors=detectors)
    keys = {"missing_rise:input.age[shop=fr]", "conformal_numeric:input.age[shop=fr]"}
    assert watch.is_of_segments(keys)
    whole, others = ({f"{name}:input.age{of}" for name in ("missing_rise", "conformal_numeric")} for of in ("", "[shop=de]"))
    assert watch.moved_within(keys) == watch.moved_within(keys | whole) == ["input.age[shop=fr]"]
    assert watch.moved_within(keys | whole | others) == []
    assert watch.whole_columns(["input.note[shop=fr]", "input.age"]) == {"input.note", "input.age"}


def _checked(folder: Path, inputs: Any, *, as_json: bool = False, traffic: Traffic = Traffic(per_day=4000)) -> str:  # noqa: B008 (frozen)
    rng = np.random.default_rng(5)
    shop, city = rng.choice(["fr", "de"], size=3000, p=[0.2, 0.8]), rng.choice(["a", "b", "c"], size=3000)
    rows = [{"shop": s, "city": c, "age": a} for s, c, a in zip(shop.tolist(), city.tolist(), rng.normal(size=3000).tolist(), strict=True)]
    (folder / "rows.ndjson").write_text("\n".join(map(json.dumps, rows)))
    found = {**MODEL, "columns": {"shop": "category", "city": "category", "age": "numeric"}}
    found |= {"reference": {"kind": "file", "path": folder / "rows.ndjson"}, "monitors": {"segments": {"by": ["shop"], "inputs": inputs}}}
    settings = Settings.model_validate({"models": [found]})
    shown = Console(width=300, record=True, file=io.StringIO(), force_terminal=True)
    show_watched(settings, folder / "c.yaml", shown, traffic=traffic, as_json=as_json)
    return shown.export_text()


def test_check_says_which_inputs_are_watched_what_each_gets_and_what_is_seen_there_within_a_day(tmp_path: Path) -> None:
    text = _checked(tmp_path, "all")
    rows = [line.split() for line in text.splitlines() if line.lstrip().startswith("inputs ")]
    assert {(row[1], row[4]) for row in rows} == {("conformal_numeric", "2"), ("conformal_category", "2"), ("missing_rise", "4")}
    assert "Inputs within segments: what comes in of 2 columns, missing values of 2." in text
    watched = "conformal_numeric: input.age, output.score, output.score[shop=...] x 2, input.age[shop=...] x 2"
    assert watched in _checked(tmp_path, "all", traffic=Traffic())
    assert watched not in text
    data = json.loads(_checked(tmp_path, "all", as_json=True))["models"][0]["seen_within_a_day"]
    seen = {one["subject"]: one for one in data if one["detector"] == "conformal_numeric"}
    whole, de, fr = (seen[f"input.age{of}"]["smallest"] for of in ("", "[shop=de]", "[shop=fr]"))
    assert 0.1 < whole < de < fr < 1.0
    assert f"conformal_numeric within segments (input.age[shop=fr]): {seen['input.age[shop=fr]']['says']}" in text
    missing = {one["subject"]: one["smallest"] for one in data if one["detector"] == "missing_rise"}
    assert 0.0 < missing["input.age"] < missing["input.age[shop=fr]"] < 0.2
    few = _checked(tmp_path, {"columns": "all", "most_n": 3})
    assert "within the whole only: input.age (segments.inputs.most_n is 3" in few
    assert "of no input" in _checked(tmp_path, None)


@pytest.mark.parametrize(
    ("inputs", "told"),
    [("[agee]", "did you mean 'age'?"), ("{most_n: 0}", "greater than or equal to 1"), ("{colums: all}", "colums"), ("some", "'all'")],
)
def test_settings_that_cannot_be_are_told(tmp_path: Path, inputs: str, told: str) -> None:
    file = tmp_path / "c.yaml"
    start = "models:\n  - name: m\n    task: tabular-classification\n    columns: {shop: category, age: numeric}\n    monitors:\n"
    file.write_text(f"{start}      segments: {{by: [shop], inputs: {inputs}}}\n")
    with pytest.raises(SettingsError) as raised:
        load_settings(file)
    assert told in str(raised.value)
    assert raised.value.problems[0].line == 6


def test_the_example_says_how_inputs_of_segments_are_set() -> None:
    text = (Path(__file__).parents[2] / "retuned.example.yaml").read_text().partition("segments: null")[2].partition("window_s:")[0]
    said = "\n".join(line.removeprefix("        # ") for line in text.splitlines() if line.startswith("        # "))
    found = SegmentSettings.model_validate(yaml.safe_load(said))
    assert found == SegmentSettings(by=["channel"])
    assert said.count(":") > len(SegmentSettings.model_fields)
