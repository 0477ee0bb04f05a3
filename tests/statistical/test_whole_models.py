"""The short form of the lives of whole models: quiet ones are long, loud ones end, and rates that nobody split are caught."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from daemon.decide.monitors.all import monitors
from detectors.types import Outcome
from tests.prove import lives
from tests.prove.models import KINDS, ModelKind, Row
from tests.prove.results import WHOLE, digest_of_sources
from tests.prove.whole import kept

NEVER = 1e9
"""Panes that are promised between false alarms: 16 quiet ones alarm with a probability of at most 2e-8."""
PANES_N, FEW_N = 16, 8


def _spoiled(rows: list[Row]) -> list[Row]:
    """Every answer wrong; of graded answers every grade the worst, of numbers every answer far off."""
    for row in rows:
        if isinstance(row["label"], str):
            row["label"] = "no" if row["output"]["label"] == "yes" else "yes"
        elif "value" in row["output"]:
            row["output"]["value"] += 500.0
        else:
            row["label"] = 1
    return rows


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name.replace(" ", "-"))
def test_a_quiet_model_is_silent_and_one_whose_answers_turn_wrong_is_not(kind: ModelKind) -> None:
    rng = np.random.default_rng(1)
    model, draw = kind.settings(NEVER), kind.world(rng)
    watched = lives.alarming(model, lives.reference_of(model, draw))
    quiet = [v for data in lives.panes(model, draw, rng, PANES_N) for v in watched.fold(data)]
    assert [v for v in quiet if v.outcome is Outcome.ALARM] == []
    loud = [v for data in lives.panes(model, lambda n: _spoiled(draw(n)), rng, PANES_N) for v in watched.fold(data)]
    assert {v.detector for v in loud if v.outcome is Outcome.ALARM} & {"f1_floor", "score_floor", "value_ceiling"}
    spoke = {d.name for d, v in zip(watched.detectors * PANES_N, loud, strict=True) if v.outcome is not Outcome.INSUFFICIENT}
    assert {d.name for d in watched.detectors} - spoke <= {"fairness_gap", "fairness_ratio"}  # of few labelled records


def test_whole_models_live_as_long_as_was_promised_and_a_rate_that_nobody_split_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    found = _lives()
    assert kept("all kinds", found).is_kept
    assert found[0] == lives.life(KINDS[0].name, 0, most=FEW_N)

    def unsplit(*args: Any, **kwargs: Any) -> list[Any]:
        detectors: list[Any] = monitors(*args, **kwargs)
        return [dataclasses.replace(d, alpha=0.5) if hasattr(d, "alpha") else d for d in detectors]

    monkeypatch.setattr(lives, "monitors", unsplit)
    assert not kept("all kinds", _lives()).is_kept


def _lives() -> list[dict[str, Any]]:
    """Three of each kind: enough to tell 2 panes from the 20 that are promised."""
    return [lives.life(kind.name, seed, most=FEW_N) for kind in KINDS for seed in range(3)]


def test_what_is_said_of_lives_counts_those_that_did_not_end_with_their_panes() -> None:
    rates = {"drift": [0.05, 0.0]}
    quiet = {"panes": 200, "by": None, "rates": rates}
    row = kept("texts", [{"panes": 100, "by": ["drift", "text_figures"], "rates": rates}, quiet])
    assert row.figure.startswith(">= 150 panes (95 %: from 68), 15.0 (from 3.2) times the promise; text_figures 1")
    assert row.is_kept
    assert "more than 3.3 times the promise; no alarm" in kept("texts", [quiet]).figure  # 200 / 3.0, as of 20


def test_trials_of_whole_models_depend_on_detectors_and_settings_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.prove.results.digest_of", lambda files: " ".join(sorted(files)))
    files = digest_of_sources.__wrapped__(WHOLE, "life").split()
    assert {"detectors/sequential/risk.py", "daemon/decide/monitors/rates.py", "tests/prove/models.py", "tests/prove/lives.py"} <= {*files}
