"""Learning is not blindness; silence is. And one setting of a user becomes every monitor's alpha."""

from pathlib import Path

import pytest

from daemon.decide import policy
from daemon.decide.monitors import alpha_per_pane, monitors
from daemon.judge import Judge
from daemon.settings import Settings
from daemon.store import champions
from daemon.store.ledger import Ledger
from daemon.store.panes import Windows
from detectors.types import EDetectorValue, Kind

DAY = 86_400.0


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    found = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    found.migrate()
    return found


def two_lines(folder: Path) -> Settings:
    return Settings.model_validate({"data_dir": folder, "models": [{"name": "chat", "task": "text-generation"}]})


def decision(ledger: Ledger, judge: Judge, settings: Settings, now: float) -> policy.Decision:
    with ledger.begin() as tx:
        return judge.decide(tx, settings.models[0], now)


def test_a_model_that_is_learning_wakes_nobody(tmp_path: Path, ledger: Ledger) -> None:
    settings = two_lines(tmp_path)
    judge = Judge(settings, Windows())
    with ledger.begin() as tx:
        champions.adopt(tx, "chat", "1", now=DAY, because="a test")
    assert isinstance(decision(ledger, judge, settings, 6 * DAY), policy.Hold)


def test_a_model_whose_first_record_never_comes_is_told_after_a_day(tmp_path: Path, ledger: Ledger) -> None:
    settings = two_lines(tmp_path)
    judge = Judge(settings, Windows())
    assert isinstance(decision(ledger, judge, settings, DAY), policy.Hold)
    told = decision(ledger, judge, settings, 2.1 * DAY)
    assert isinstance(told, policy.Alert)
    assert "nothing is being watched" in told.because


def test_the_monitors_of_a_group_share_the_false_alarms_that_a_user_allows() -> None:
    settings = {
        "name": "m",
        "task": "tabular-classification",
        "labels": ["no", "yes"],
        "columns": {"x": "numeric", "channel": "category"},
        "monitors": {"pane_s": 60, "drift": {"mean_days_between_false_alarms": 10}, "performance": None},
    }
    model = Settings.model_validate({"models": [settings]}).models[0]
    alarming = [d for d in monitors(model, has_bound=False) if d.kind is Kind.ALARMS]
    assert {d.subject for d in alarming} == {"input.x", "input.channel", "output.label", "output.score"}
    assert all(d.evidence is EDetectorValue for d in alarming)
    panes = 10 * DAY / 60
    assert all(1 / d.alpha == pytest.approx(4 * panes) for d in alarming)  # type: ignore[attr-defined]  # each has one


def test_alpha_stays_a_probability_for_absurdly_short_promises() -> None:
    assert alpha_per_pane(days=1e-6, pane_s=60, n=1) == 0.5
