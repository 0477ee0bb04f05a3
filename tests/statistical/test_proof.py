"""The short form of `make prove`: every registered detector in an independent world, judged by the same functions."""

from __future__ import annotations

from typing import Any

import pytest

from detectors import registry
from tests.prove import trials
from tests.prove.page import PAGE
from tests.prove.run import SHORT, Task, tasks, tried
from tests.prove.verdicts import alarms, coverage
from tests.prove.worlds import WORLDS, world

_SLOW = {"text_witness", "domain_classifier", "embedding_witness"}
"""A stream takes them six seconds, and one says nothing; `make prove` has several, and their own tests a quiet one."""


@pytest.mark.parametrize("name", [name for name in registry.names() if name not in _SLOW])
def test_every_detector_keeps_its_claim_and_its_interval_in_a_quiet_world(name: str) -> None:
    found: dict[str, list[dict[str, Any]]] = {}
    for task in tasks([name], SHORT):
        found[task.what.split("/")[0]] = tried(task, SHORT, [])[0]
    rows = [alarms(name, world("independent"), found[what]) for what in ("stream", "look") if len(found.get(what, [])) > 1]
    if "truth" in found:
        quiet, shifted = found["truth"]
        rows += [r for r in (coverage(name, "quiet", found["look"], quiet["value"], quiet["error"]),) if r is not None]
        rows += [r for r in (coverage(name, "shifted", found["shifted"], shifted["value"], shifted["error"]),) if r is not None]
    assert found
    for row in rows:
        assert row.is_kept, row


def test_the_page_of_validity_names_every_detector() -> None:
    text = PAGE.read_text()
    assert [name for name in registry.names() if f"### {name}\n" not in text] == []


def test_worlds_outside_the_assumptions_keep_the_rows_and_change_their_order() -> None:
    import numpy as np

    detector = trials.proven("conformal_numeric")
    rows = trials.rows_of(detector, 3000, 1, world("independent"))
    values = rows.columns["input.age"]
    for where in (w for w in WORLDS if not w.is_inside):
        found = where.order(rows, np.random.default_rng(0)).columns["input.age"]
        neighbours = float(np.corrcoef(found[:-1], found[1:])[0, 1])
        assert neighbours > 0.2, where.name
        assert set(found.tolist()) <= set(values.tolist())
        if where.name != "bursts":
            assert sorted(found.tolist()) == sorted(values.tolist())
    assert Task("ks", "look/independent") in tasks(["ks"])
