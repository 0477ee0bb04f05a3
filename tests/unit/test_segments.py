"""Segments: which values are watched, what each is held to, what `retuned check` says of them, and when there are too few rows."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from daemon.check.read import SettingsError, load_settings
from daemon.decide.monitors.all import monitors
from daemon.decide.monitors.rates import promised_days
from daemon.decide.monitors.segments import left_out, watched_values
from daemon.settings import ModelSettings, Settings
from daemon.watched.table import show_watched
from daemon.watched.traffic import Traffic
from detectors.registry import build
from detectors.sequential.segment import Segment
from detectors.types import Increment, Kind, Outcome, Pairs, Reference, Verdict

WEB = Segment(column="input.channel", value="web", least_n=30)
MODEL = {
    "name": "m",
    "task": "text-classification",
    "labels": ["no", "yes"],
    "columns": {"text": "text", "channel": "category", "n": "numeric", "band": {"kind": "category", "protected": True}},
    "monitors": {"segments": ["channel", "band"]},
}


def model(**changes: Any) -> ModelSettings:
    return ModelSettings.model_validate({**MODEL, **changes})


def pairs(rng: np.random.Generator, n: int, *, wrong: dict[str, float], shares: dict[str, float]) -> Pairs:
    """Classes; `wrong`: share of errors in each channel."""
    channel = rng.choice(np.array([*shares], dtype=object), size=n, p=[*shares.values()])
    label = rng.choice(np.array(["no", "yes"], dtype=object), size=n)
    turned = rng.random(n) < np.array([wrong[c] for c in channel])
    said = np.where(turned, np.where(label == "no", "yes", "no"), label).astype(object)
    return Pairs(predicted=said, label=label, columns={"input.channel": channel})


def folded(detector: Any, bound: Pairs, news: list[Pairs]) -> list[Verdict]:
    state, found = detector.start(Reference(columns={}, kinds={}, sketches={}, bound=bound, digest="")), []
    for one in news:
        at = datetime(2026, 1, 1, tzinfo=UTC)
        state, verdict = detector.step(state, Increment(start=at, end=at, columns={}, pairs=one, n=one.n))
        found.append(verdict)
    return found


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("risk_change", {}),
        ("accuracy_floor", {"max_drop": 0.05}),
        ("f1_floor", {"label": "yes", "max_drop": 0.05}),
        ("probability_ceiling", {"metric": "brier", "labels": ("no", "yes"), "max_rise": 0.1}),
        ("auc_floor", {"label": "yes", "labels": ("no", "yes"), "max_drop": 0.05}),
    ],
)
def test_a_detector_within_a_segment_says_what_one_says_that_is_given_its_records_only(name: str, settings: dict[str, Any]) -> None:
    rng, shares = np.random.default_rng(1), {"web": 0.3, "app": 0.7}
    many = [pairs(rng, n, wrong={"web": 0.3, "app": 0.1}, shares=shares) for n in (2000, 200, 0, 200)]
    scored = [Pairs(predicted=p.predicted, label=p.label, columns=p.columns, scores=rng.dirichlet([2, 2], p.n)) for p in many]
    own = [p.take(np.asarray(p.columns["input.channel"] == "web", dtype=np.bool_)) for p in scored]
    within, alone = (build(name, alpha=1e-4, **more, **settings) for more in ({"within": replace(WEB, least_n=10)}, {}))
    for one, other in zip(folded(within, scored[0], scored[1:]), folded(alone, own[0], own[1:]), strict=True):
        assert (one.value, one.low, one.high, one.n, one.outcome) == (other.value, other.low, other.high, other.n, other.outcome)
        assert (one.evidence, one.e_value, one.limit) == (other.evidence, other.e_value, other.limit)
    assert within.subject.endswith(",channel=web]" if "[" in alone.subject else "[channel=web]")


def test_few_rows_of_a_segment_are_told_and_never_alarm() -> None:
    rng, shares = np.random.default_rng(2), {"web": 0.5, "app": 0.5}
    good, bad = {"web": 0.05, "app": 0.05}, {"web": 1.0, "app": 0.05}
    detector = build("risk_change", alpha=1e-3, within=WEB)
    few = folded(detector, pairs(rng, 400, wrong=good, shares=shares), [pairs(rng, 12, wrong=bad, shares=shares) for _ in range(12)])
    so_far = [v for v in few if v.outcome is Outcome.INSUFFICIENT]
    assert 3 <= len(so_far) < 9
    assert "it is judged from 30 on" in so_far[-1].because
    assert few[-1].outcome is Outcome.ALARM
    unbound = folded(detector, pairs(rng, 40, wrong=good, shares=shares), [pairs(rng, 400, wrong=bad, shares=shares)])
    assert unbound[0].outcome is Outcome.INSUFFICIENT
    assert unbound[0].because.startswith("channel=web: only ")
    assert "bound rows count" in unbound[0].because
    nowhere = folded(detector, Pairs.empty(), [pairs(rng, 400, wrong=bad, shares=shares)])
    assert nowhere[0].outcome is Outcome.INSUFFICIENT


def test_the_most_frequent_values_with_enough_rows_are_watched_and_the_rest_is_counted() -> None:
    found = model(monitors={"segments": {"by": ["channel"], "most_n": 2, "least_n": 20}})
    names = ["a"] * 25 + ["b"] * 40 + ["c"] * 19 + ["d"] * 30 + [None] * 6 + ["x" * 200] * 80
    columns = {"input.channel": np.array(names, dtype=object)}
    values = watched_values(found, columns)
    assert values == {"input.channel": ("b", "d")}
    assert left_out(values, columns) == {"input.channel": (2, pytest.approx(44 / 200))}
    assert watched_values(model(monitors={}), columns) == {}
    assert model(monitors={}).paired().keys() == model().paired().keys() == model().asked().keys()
    many = {f"x{i}": "numeric" for i in range(30)} | {"shop": "category"}
    assert [*model(columns=many, monitors={"segments": ["shop"]}).paired()][19:] == ["input.x19", "input.shop"]


def test_segments_share_the_one_knob_as_a_group_and_the_whole_keeps_what_was_asked_for() -> None:
    values = {"input.channel": ("web", "app"), "segment.band": ("old",)}
    watched = model(monitors={"segments": {"by": ["channel", "band"], "inputs": None}})
    without, found = (monitors(watched, has_bound=True, values=v) for v in ({}, values))
    mine: list[Any] = [d for d in found if getattr(d, "within", None) is not None and "output." not in d.subject]
    assert len(mine) == 3 * 4
    assert {d.subject for d in mine} > {"risk[channel=web]", "f1[label=yes,channel=app]", "f1[label=no,band=old]", "risk[band=old]"}
    assert promised_days(found, pane_s=60.0) >= 90.0 * (1 - 1e-9)
    groups = {d.name: d.alpha for d in without if d.kind is Kind.ALARMS}  # type: ignore[attr-defined]
    now: dict[str, Any] = {d.name: d.alpha for d in found if d.kind is Kind.ALARMS and d not in mine}  # type: ignore[attr-defined]
    names = {"conformal_numeric", "conformal_category", "text_figures", "text_witness"}
    of_drift = [sum(d.name in names for d in some) for some in (without, found)]
    assert of_drift == [7, 7 + 2 * 3]  # label and score of three segments are drift, and share its rate
    assert now["conformal_numeric"] == pytest.approx(0.75 * 7 / 13 * groups["conformal_numeric"])  # a fourth group beside three
    assert sum(d.alpha for d in mine) == pytest.approx(5 * now["f1_floor"], rel=0.01)  # what they are of all: calibration too
    own = model(monitors={"segments": {"by": ["channel"], "mean_days_between_false_alarms": 10, "inputs": None}, "drift": None})
    by_hand: list[Any] = [d for d in monitors(own, has_bound=True, values=values) if getattr(d, "within", None) is not None]
    assert sum(d.alpha for d in by_hand) == pytest.approx(60 / 864_000)


@pytest.mark.parametrize(
    ("segments", "told"),
    [
        ("[chanel]", "did you mean 'channel'?"),
        ("[n]", "must be of kind category"),
        ("{by: [channel, band], most_n: 50, least_n: 5}", "greater than or equal to 10"),
        ("{by: [channel, band, third], most_n: 50}", "makes 900 detectors, 6 a segment; at most 400 are watched"),
        ("[channel, a, b, c, d, e]", "at most 5 items"),
        ("[]", "at least 1 item"),
    ],
)
def test_settings_that_cannot_be_are_told(tmp_path: Path, segments: str, told: str) -> None:
    file = tmp_path / "c.yaml"
    columns = "{channel: category, n: numeric, band: {kind: category, protected: true}, third: category}"
    text = f"models:\n  - name: m\n    task: tabular-classification\n    labels: [a, b]\n    columns: {columns}\n"
    file.write_text(text + f"    monitors:\n      segments: {segments}\n")
    with pytest.raises(SettingsError) as raised:
        load_settings(file)
    assert told in str(raised.value)
    assert raised.value.problems[0].line == 7


def test_the_alpha_of_a_segments_monitor_is_taken_and_that_of_no_monitor_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    columns = "labels: [a, b], columns: {channel: category}"
    start = f"models:\n  - {{name: m, task: tabular-classification, {columns}, monitors: {{segments: [channel], "
    file.write_text(start + "alphas: {'f1_floor:f1[label=a,channel=web]': 1.0e-5}}}\n")
    (found,) = load_settings(file).models
    mine: list[Any] = [d for d in monitors(found, has_bound=True, values={"input.channel": ("web", "app")}) if d.name == "f1_floor"]
    assert [d.subject for d in mine if d.alpha == 1e-5] == ["f1[label=a,channel=web]"]
    file.write_text(start + "alphas: {'f1_floor:f1[label=a,chanel=web]': 1.0e-5}}}\n")
    with pytest.raises(SettingsError, match="must be a monitor of this model"):
        load_settings(file)


@pytest.mark.parametrize("monitored", ["drift: null", "drift: {columns: [channel]}"])
def test_segments_with_neither_labels_nor_answers_to_watch_are_told(tmp_path: Path, monitored: str) -> None:
    file = tmp_path / "c.yaml"
    start = "models:\n  - {name: m, task: tabular-classification, columns: {channel: category}, monitors: {segments: [channel]"
    file.write_text(f"{start}, {monitored}}}}}\n")
    with pytest.raises(SettingsError, match="none of these is watched of all records"):
        load_settings(file)
    file.write_text(start + ", performance: null}}\n")
    (found,) = load_settings(file).models
    mine = [d for d in monitors(found, has_bound=False, values={"input.channel": ("web",)}) if getattr(d, "within", None) is not None]
    assert [d.subject for d in mine] == ["output.label[channel=web]", "output.score[channel=web]"]


def _checked(folder: Path, **changes: Any) -> tuple[str, dict[str, Any]]:
    rng = np.random.default_rng(4)
    shares = {"web": 0.6, "app": 0.3, "rare": 0.1}
    bound = pairs(rng, 3000, wrong=dict.fromkeys(shares, 0.1), shares=shares)
    rows = zip(bound.predicted, bound.label, bound.columns["input.channel"], strict=True)
    text = "\n".join(json.dumps({"channel": c, "predicted": p, "label": y}) for p, y, c in rows)
    (folder / "rows.ndjson").write_text(text)
    reference = {"kind": "file", "path": folder / "rows.ndjson", "bound": folder / "rows.ndjson"}
    segments = {"segments": {"by": ["channel"], "least_n": 400}, "performance": {"metric": "accuracy"}}
    found = {**MODEL, "columns": {"channel": "category"}, "monitors": segments, "reference": reference, **changes}
    settings = Settings.model_validate({"models": [found]})
    shown = Console(width=220, record=True, file=io.StringIO(), force_terminal=True)
    traffic = Traffic(per_day=4000, labels_per_day=1000)
    show_watched(settings, folder / "c.yaml", shown, traffic=traffic)
    data = Console(width=220, record=True, file=io.StringIO())
    show_watched(settings, folder / "c.yaml", data, traffic=traffic, as_json=True)
    return shown.export_text(), json.loads(data.export_text())["models"][0]


def test_check_shows_what_each_segment_gets_and_what_it_sees_within_a_day(tmp_path: Path) -> None:
    text, data = _checked(tmp_path)
    rows = [line.split() for line in text.splitlines() if " within segments " in line and "Within" not in line]
    assert {(row[0], row[1], row[4]) for row in rows} == {
        ("segments", "accuracy_floor", "2"),
        ("segments", "risk_change", "2"),
        ("segments", "risk_rise", "2"),
        ("drift", "conformal_category", "2"),
        ("drift", "conformal_numeric", "2"),
    }
    assert "Within segments drift of output.label, output.score is watched" in text
    label = {s["subject"]: s["smallest"] for s in data["seen_within_a_day"] if s["detector"] == "conformal_category"}
    assert 0.5 < label["output.label"] < label["output.label[channel=web]"] < label["output.label[channel=app]"] < 1.0
    assert "Segments by channel: web, app; 1 other values, 10." in text
    assert "train nothing" in text
    for name in ("risk_change", "risk_rise"):
        of = {s["subject"]: s["smallest"] for s in data["seen_within_a_day"] if s["detector"] == name}
        assert set(of) == {"risk", "risk[channel=web]", "risk[channel=app]"}
        assert 0.1 < of["risk"] < of["risk[channel=web]"] < of["risk[channel=app]"] < 0.5
    assert {a["subject"] for a in data["alarms"]} >= {"accuracy[channel=web]", "accuracy[channel=app]"}


def test_check_says_that_values_are_not_known_before_the_reference_is(tmp_path: Path) -> None:
    text, data = _checked(tmp_path, reference={"kind": "learn"})
    assert "at most 8 values a column, each with at least 400 reference rows; which ones the reference will say" in " ".join(text.split())
    assert not [a for a in data["alarms"] if "channel=" in a["subject"]]
