"""At the boundary of its null the evidence of every sequential detector is worth what is promised, and counted twice it is not."""

from __future__ import annotations

import math

import numpy as np
import pytest

from detectors import registry
from detectors.types import EValue
from tests.prove.boundary import COUNTED, PANE_N, PANES_N, Floats, Steps, Stream, least_mean, placed, worth
from tests.prove.limits import LOG_FLAKE
from tests.prove.sharp import Row
from tests.prove.spoilt import Twice
from tests.prove.verdicts import is_sequential

short_and_full = pytest.mark.parametrize("size", [pytest.param(1, id="short"), pytest.param(16, id="full", marks=pytest.mark.prove)])


@short_and_full
@pytest.mark.parametrize("name", [name for name in registry.names() if is_sequential(name)])
def test_evidence_is_worth_what_is_promised_and_counted_twice_it_is_not(proof_rows: list[Row], name: str, size: int) -> None:
    detector, stream = placed(name)
    is_process = registry.detector_class(name).evidence is EValue  # it begins at 1 and once: twice, it is squared, which few streams show
    streams = [stream(seed) for seed in range(size * (600 if is_process and name not in COUNTED else 60))]
    honest, twice = worth(detector, streams), worth(Twice(detector), streams)
    beside = f"; the e-value beside it {_told(honest.beside)}" if (honest.beside != 1.0).any() else ""
    figure = f"{_told(honest.evidence)}{beside}; counted twice {_told(twice.evidence)}"
    claim = "mean of e <= 1" if is_process else "mean of M after n panes, over n, <= 1"
    proof_rows.append((f"{name}, whole", claim, figure, "1", str(len(streams)), f"{math.exp(LOG_FLAKE):.0e}"))
    assert honest.least <= 1.0
    if name in COUNTED:
        assert [_counted(one, streams[0]) for one in (detector, Twice(detector))] == [PANES_N * PANE_N, 2 * PANES_N * PANE_N]
    else:
        assert twice.least > 1.0


def _told(worths: Floats) -> str:
    return f"{worths.mean():.2f} (surely {least_mean(worths):.2f})"


def _counted(detector: Steps, stream: Stream) -> int:
    state, n = stream.state, 0
    for data in stream.panes:
        state, verdict = detector.step(state, data)
        n = verdict.n
    return n


def test_a_mean_is_no_less_than_said_however_rarely_it_is_reached() -> None:
    """A value of 1 / chance with that chance, otherwise nothing: its mean is 1."""
    rng = np.random.default_rng(51)
    for chance in (0.5, 0.05, 0.005):
        assert max(least_mean((rng.random(300) < chance) / chance) for _ in range(20)) <= 1.0
    assert least_mean(np.full(60, 2.0)) > 1.4
    assert least_mean(np.zeros(60)) == 0.0
