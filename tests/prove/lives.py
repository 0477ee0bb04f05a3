"""Whole models in quiet worlds: settings to detectors as the service does it, pane after pane until the first alarm of any."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from daemon.decide.monitors.all import groups, monitors
from daemon.decide.monitors.segments import watched_values
from daemon.settings import ModelSettings
from daemon.store.answers import Output
from daemon.store.asked import groups_of, inputs_of
from daemon.store.columns import Reader
from daemon.store.pairing import Pairing, Truth
from daemon.store.reference import load_reference
from daemon.store.values import objects
from daemon.watched.knob import alpha_of
from detectors.sketches.records import AT, CONTENT
from detectors.types import Detector, EValue, Increment, Kind, Outcome, Pairs, Reference, Verdict
from tests.prove.models import PANE_S, PROMISED_N, Draw, Rng, Row, kind_of

REFERENCE_N, BOUND_N = 500, 300
PER_PANE = 12
"""Records of a pane in the mean; half of them are labelled, one to three panes later."""
MOST_PANES = 600
_START = 1_767_225_600.0


def life(name: str, seed: int, *, most: int = MOST_PANES, promised: float = PROMISED_N) -> dict[str, Any]:
    """Panes to the first alarm (or `most`), whose it was, and each group's share of the rate: (of e-detectors, of e-processes)."""
    rng = np.random.default_rng([seed, 9])
    kind = kind_of(name)
    model, draw = kind.settings(promised), kind.world(rng)
    watched = alarming(model, reference_of(model, draw))
    rates: dict[str, list[float]] = {}
    for group, d in zip(watched.groups, watched.detectors, strict=True):
        rates.setdefault(group, [0.0, 0.0])[d.evidence is EValue] += alpha_of(d)
    for panes_n, data in enumerate(panes(model, draw, rng, most), 1):
        loud = [[group, v.detector] for group, v in zip(watched.groups, watched.fold(data), strict=True) if v.outcome is Outcome.ALARM]
        if loud:
            return {"panes": panes_n, "by": loud[0], "rates": rates}
    return {"panes": most, "by": None, "rates": rates}


@dataclass
class Watched:
    """What may alarm, and the states of it."""

    detectors: list[Detector]
    groups: list[str]
    """The group of each, by which rates are shared."""
    states: list[Any]

    def fold(self, data: Increment) -> list[Verdict]:
        stepped = [d.step(state, data) for d, state in zip(self.detectors, self.states, strict=True)]
        self.states = [state for state, _ in stepped]
        return [verdict for _, verdict in stepped]


def alarming(model: ModelSettings, reference: Reference) -> Watched:
    """As a watch is entered."""
    asked: Any = {"has_bound": reference.bound.n > 0, "seen": reference.columns, "values": watched_values(model, reference.columns)}
    of = [group.name for group in groups(model, **asked) for _ in group.detectors]
    loud = [(d, group) for d, group in zip(monitors(model, **asked), of, strict=True) if d.kind is Kind.ALARMS]
    return Watched([d for d, _ in loud], [group for _, group in loud], [d.start(reference) for d, _ in loud])


def reference_of(model: ModelSettings, draw: Draw) -> Reference:
    """Read from files as everybody's is."""
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, name) for name in ("records.ndjson", "bound.ndjson")]
        for file, n in zip(files, (REFERENCE_N, BOUND_N), strict=True):
            file.write_text("".join(f"{json.dumps(_told(row, model))}\n" for row in draw(n)))
        return load_reference(model, *files)


def _told(row: Row, model: ModelSettings) -> Row:
    """A judgement has a field of its own."""
    return {**row, "label": None, "judgement": row["label"]} if model.task == "text-generation" else row


def panes(model: ModelSettings, draw: Draw, rng: Rng, n: int) -> Iterator[Increment]:
    """Closed panes of one version, the labels that came in each among them."""
    reader, waiting = Reader(model), dict[int, list[tuple[float, Row]]]()
    for i in range(n):
        start, rows = _START + PANE_S * i, draw(1 + int(rng.poisson(PER_PANE - 1)))
        ats = start + PANE_S * np.sort(rng.random(len(rows)))
        for at, row in zip(ats.tolist(), rows, strict=True):
            if rng.random() < 0.5:
                waiting.setdefault(i + int(rng.integers(1, 4)), []).append((at, row))
        frame = reader.frame([memoryview("\n".join(map(json.dumps, rows)).encode())])
        yield Increment(
            start=datetime.fromtimestamp(start, UTC),
            end=datetime.fromtimestamp(start + PANE_S, UTC),
            columns={**frame.watched, CONTENT: frame.contents, AT: ats},
            pairs=_pairs(model, waiting.pop(i, [])),
            n=len(rows),
            wrong={subject: len(found) for subject, found in frame.wrong.items()},
            arrived=len(rows),
        )


def _pairs(model: ModelSettings, labelled: list[tuple[float, Row]]) -> Pairs:
    rows = [row for _, row in labelled]
    own = [groups_of(model.protected(), row["inputs"], row.get("segments", {})) for row in rows]
    return Pairing(model).made(
        [Output(**row["output"]) for row in rows],
        [_truth(model, row["label"]) for row in rows],
        {name: objects([found[name] for found in own]) for name in model.protected()},
        inputs=[inputs_of(model.paired(), row["inputs"], row.get("segments", {})) for row in rows],
        at=np.array([at for at, _ in labelled], dtype=np.float64),
    )


def _truth(model: ModelSettings, label: Any) -> Truth:
    if model.task == "text-generation":
        return Truth(score=float(label))
    return Truth(value=label) if model.task == "tabular-regression" else Truth(label=label)
