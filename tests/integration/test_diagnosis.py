"""Recorded traffic that drifts: the incident says whether that does harm, and by which labels it knows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from daemon.replay import replay
from tests.integration import test_replay as recorded


def _replayed(folder: Path, monkeypatch: pytest.MonkeyPatch, *, wrong_after: float, drifts: bool = True) -> dict[str, Any]:
    """3,000 records, from 1,500 on with other inputs (or not) and another error rate; a label for each five minutes later."""
    real = recorded.rows

    def rows(seed: int, n: int, *, shift: int) -> Any:
        import numpy as np

        rng = np.random.default_rng([seed, 1])
        calm = real(seed, n, shift=n)
        for i, ((record, label), (other, _)) in enumerate(zip(calm, real(seed, n, shift=shift), strict=True)):
            said = record["output"]["label"]
            if i >= shift:
                is_wrong = rng.random() < wrong_after
                truth = {"yes": "no", "no": "yes"}[said] if is_wrong else said
                yield {**record, "inputs": (other if drifts else record)["inputs"]}, {**label, "label": truth}
            else:
                yield record, label

    monkeypatch.setattr(recorded, "rows", rows)
    config, records, labels = recorded.recorded(folder, shift=1500)
    summary = replay(recorded.retraining(config), records, labels, folder / "out")
    assert json.loads((folder / "out" / "summary.json").read_text())["incidents"] == summary["incidents"]
    return summary


def test_a_shift_that_does_no_harm_is_told_as_benign_and_trains_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    summary = _replayed(tmp_path, monkeypatch, wrong_after=0.05)
    (incident, *_) = summary["incidents"]
    said = incident["diagnosis"]
    assert (said["harm"], said["shift"]) == ("benign", "covariate"), said
    assert said["n"] > 100
    assert "input.amount" in said["because"]
    assert not incident["harmful"]
    assert summary["triggers"] == []


def test_a_shift_that_makes_the_model_wrong_is_told_as_harmful(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (incident, *_) = _replayed(tmp_path, monkeypatch, wrong_after=0.45)["incidents"]
    assert incident["diagnosis"]["harm"] == "harmful"
    assert incident["harmful"]


def test_a_model_that_is_wrong_about_the_same_inputs_is_told_as_a_shift_of_concept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (incident, *_) = _replayed(tmp_path, monkeypatch, wrong_after=0.45, drifts=False)["incidents"]
    assert (incident["diagnosis"]["harm"], incident["diagnosis"]["shift"]) == ("harmful", "concept")
