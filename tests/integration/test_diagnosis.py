"""Recorded traffic that drifts: the incident says whether that does harm, and by which labels it knows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from daemon.replay.run import replay
from tests.integration import test_replay as recorded


def _replayed(folder: Path, monkeypatch: pytest.MonkeyPatch, **world: Any) -> dict[str, Any]:
    """What became of `_recorded`."""
    config, records, labels = _recorded(folder, monkeypatch, **world)
    summary = replay(recorded.retraining(config), records, labels, folder / "out")
    assert json.loads((folder / "out" / "summary.json").read_text())["incidents"] == summary["incidents"]
    return summary


def _recorded(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    wrong_after: float = 0.05,
    drifts: bool = True,
    wrong_if_high: float | None = None,
) -> tuple[Path, Path, Path]:
    """3,000 records, from 1,500 on with other inputs (or not) and another error rate; a label for each five minutes later.

    `wrong_if_high`: how often the model is wrong about amounts above 1.2, at any time (one in nine before the shift, three in five after).
    """
    real = recorded.rows

    def rows(seed: int, n: int, *, shift: int) -> Any:
        rng = np.random.default_rng([seed, 1])
        calm = real(seed, n, shift=n)
        for i, ((record, label), (other, _)) in enumerate(zip(calm, real(seed, n, shift=shift), strict=True)):
            asked, said = (other if drifts else record)["inputs"], record["output"]["label"]
            chance = wrong_after if i >= shift else 0.05
            if wrong_if_high is not None and asked["amount"] > 1.2:
                chance = wrong_if_high
            if i < shift and wrong_if_high is None:
                yield record, label
                continue
            truth = {"yes": "no", "no": "yes"}[said] if rng.random() < chance else said
            yield {**record, "inputs": asked}, {**label, "label": truth}

    monkeypatch.setattr(recorded, "rows", rows)
    return recorded.recorded(folder, shift=1500)


def test_a_shift_that_does_no_harm_is_told_as_benign_and_trains_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    summary = _replayed(tmp_path, monkeypatch, wrong_after=0.05)
    (incident, *_) = summary["incidents"]
    said = incident["diagnosis"]
    assert (said["harm"], said["shift"]) == ("benign", "covariate"), said
    assert said["n"] > 100
    assert "input.amount" in said["because"]
    assert not incident["harmful"]
    assert summary["triggers"] == []


def test_inputs_and_what_is_right_for_them_that_move_together_are_told_as_a_shift_of_concept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (incident, *_) = _replayed(tmp_path, monkeypatch, wrong_after=0.45)["incidents"]
    said = incident["diagnosis"]
    assert (said["harm"], said["shift"]) == ("harmful", "concept"), said
    assert {s["subject"] for s in incident["subjects"].values()} > {"input.amount", "input.channel"}
    assert "the same inputs" in said["because"]
    assert incident["harmful"]


def test_inputs_that_move_to_where_the_model_was_wrong_before_are_told_as_a_covariate_shift(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (incident, *_) = _replayed(tmp_path, monkeypatch, wrong_if_high=0.8)["incidents"]
    said = incident["diagnosis"]
    assert (said["harm"], said["shift"]) == ("harmful", "covariate"), said
    assert "where the model was wrong before" in said["because"]


def test_a_model_that_is_wrong_about_the_same_inputs_is_told_as_a_shift_of_concept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (incident, *_) = _replayed(tmp_path, monkeypatch, wrong_after=0.45, drifts=False)["incidents"]
    assert (incident["diagnosis"]["harm"], incident["diagnosis"]["shift"]) == ("harmful", "concept")


def test_inputs_that_move_to_where_the_model_was_wrong_before_are_likely_harmful_before_a_label_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, records, labels = _recorded(tmp_path, monkeypatch, wrong_if_high=0.8)
    late = [line for line in labels.read_text().splitlines() if int(json.loads(line)["id"].partition("-")[2]) < 1500]
    labels.write_text("\n".join(late) + "\n")
    (incident, *_) = replay(recorded.retraining(config), records, labels, tmp_path / "out")["incidents"]
    said = incident["diagnosis"]
    assert said["harm"] == "likely", said
    assert "if it still does, it is wrong in at least" in said["because"]
    assert not incident["harmful"]
