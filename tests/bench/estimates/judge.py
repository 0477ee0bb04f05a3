"""One set: estimates of each chunk beside what its late targets say."""

from __future__ import annotations

import json
import math
import os
import subprocess
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import ndtri

from detectors.performance.calibration import Calibration, calibrate, score_counts
from detectors.performance.confidence import LEAST_N, Metric, estimate
from detectors.performance.estimated import Estimated
from detectors.performance.prediction_powered import powered_mean, powered_ratio
from detectors.performance.reweighted import density_ratio
from detectors.registry import build
from detectors.sequential.table import coding_of, encode, normal_features
from detectors.types import Increment, Outcome, Pairs, Reference
from tests.bench.environments import python_of
from tests.bench.estimates.sets import CHUNKS_N, SETS, Part, folder, load

if TYPE_CHECKING:
    from numpy.typing import NDArray

METRICS: tuple[Metric, ...] = ("accuracy", "f1", "roc_auc")
FEW_METRICS: tuple[Metric, ...] = ("accuracy", "f1")
DRAWS_N, LABELLED = 20, 0.05
RIVAL = "NannyML CBPE"
ALONE = "chance alone"
CORRECTED = "CBPE corrected by 5 % labels so far"
INPUTS = "CBPE, inputs where they carry"
SEED = 20261125


def judge(name: str) -> dict[str, Any]:
    """{method: {metric: [mean absolute error, share of chunks whose interval holds the realised figure]}}, and what PAPE weighed."""
    home = folder()
    reference, chunks = load(name, home)
    truth = {m: np.array([_realised(c, m) for c in chunks]) for m in METRICS}
    plain = calibrate(reference.scores, reference.truth)
    weighted = [_weighted(reference, c, i) for i, c in enumerate(chunks)]
    found: dict[str, Any] = {RIVAL: {m: [_error(np.array(v), truth[m]), None] for m, v in _rival(name, home).items()}}
    found["CBPE"] = {m: _judged([_estimate(c, plain, m) for c in chunks], truth[m]) for m in METRICS}
    # where the weights leave too few rows PAPE abstains; here, where every method must say something, CBPE speaks for it
    chosen = [w if w.n >= LEAST_N else plain for w in weighted]
    found["PAPE"] = {m: _judged([_estimate(c, w, m) for c, w in zip(chunks, chosen, strict=True)], truth[m]) for m in METRICS}
    read, t, is_read = _read(reference, chunks)
    told = [_estimate(c, plain, "accuracy") if r is None else r for c, r in zip(chunks, read, strict=True)]
    found[INPUTS] = {"accuracy": _judged(told, truth["accuracy"])}
    few = [[_few(c, plain, np.random.default_rng([SEED, i, draw])) for draw in range(DRAWS_N)] for i, c in enumerate(chunks)]
    many = {m: np.repeat(truth[m], DRAWS_N) for m in FEW_METRICS}
    for at, method in enumerate(("5 % labels, PPI++", "5 % labels alone")):
        found[method] = {m: _judged([x[at][m] for each in few for x in each], many[m]) for m in FEW_METRICS}
    followed = [x for draw in range(DRAWS_N) for x in _followed(reference, chunks, draw)]
    found[CORRECTED] = {"accuracy": _judged(followed, np.tile(truth["accuracy"], DRAWS_N))}
    found[ALONE] = {m: [float(np.mean([_chance_alone(c, m) for c in chunks])), None] for m in METRICS}
    return {
        "methods": found,
        "abstained": sum(w.n < LEAST_N for w in weighted),
        "inputs_abstained": sum(r is None for r in read),
        "inputs_t": t,
        "inputs_read": is_read,
        "n": len(chunks[0].truth),
        "reference": len(reference.truth),
    }


def _rival(name: str, home: Path) -> dict[str, list[float]]:
    asked: dict[str, Any] = {**asdict(SETS[name]), "chunks": CHUNKS_N}
    asked |= {part: str(home / asked[part]) for part in ("reference", "analysis")}
    command = [python_of("nannyml"), str(Path(__file__).with_name("rival.py")), json.dumps(asked)]
    quiet = {**os.environ, "NML_DISABLE_USAGE_LOGGING": "1", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=1800, env=quiet)
    answer: dict[str, list[float]] = json.loads(done.stdout.strip().splitlines()[-1])
    return answer


def _realised(chunk: Part, metric: Metric) -> float:
    """By scikit-learn; the positive class of two, the mean over more."""
    from sklearn.metrics import accuracy_score, f1_score, roc_auc_score

    k = chunk.scores.shape[1]
    if metric == "accuracy":
        return float(accuracy_score(chunk.truth, chunk.answer))
    if metric == "f1":
        return float(f1_score(chunk.truth, chunk.answer, average="binary" if k == len("01") else "macro"))
    return float(roc_auc_score(chunk.truth, chunk.scores[:, 1] if k == len("01") else chunk.scores, multi_class="ovr"))


def _weighted(reference: Part, chunk: Part, i: int) -> Calibration:
    """The calibrator of PAPE: labelled rows count as often as the chunk has rows like them."""
    before = reference.take(np.random.default_rng([SEED, i]).permutation(len(reference.truth)))
    columns = [{str(j): x for j, x in enumerate(np.column_stack([p.features, p.scores]).T)} for p in (before, chunk)]
    coding, subjects = coding_of(columns[0]), tuple(columns[0])
    rows = [normal_features(coding, subjects, encode(coding, subjects, each, len(each["0"]))) for each in columns]
    return calibrate(before.scores, before.truth, density_ratio(*rows))


def _estimate(chunk: Part, calibration: Calibration, metric: Metric) -> Estimated:
    label = 1 if metric != "accuracy" and chunk.scores.shape[1] == len("01") else None
    found = estimate(score_counts(chunk.scores, chunk.answer), calibration, metric, label=label)
    assert found is not None
    return found


def _few(chunk: Part, calibration: Calibration, rng: np.random.Generator) -> tuple[dict[Metric, Estimated], dict[Metric, Estimated]]:
    """One draw of 5 % labels: accuracy and F1 with predictions for all, and from the labelled rows alone."""
    from detectors.sketches.score_bins import bin_of

    k = chunk.scores.shape[1]
    chance = np.column_stack([calibration.chance[j][bin_of(chunk.scores[:, j])] for j in range(k)])  # (n, k)
    answered, true = np.eye(k)[chunk.answer], np.eye(k)[chunk.truth]  # (n, k)
    rows = np.flatnonzero(rng.random(len(chunk.truth)) < LABELLED)
    right, guess = (true * answered).sum(axis=1), (chance * answered).sum(axis=1)
    f1s = []
    for j in range(k) if k > len("01") else [1]:
        y, f = (np.column_stack([2.0 * x[:, j] * answered[:, j], x[:, j] + answered[:, j]]) for x in (true, chance))
        f1s.append((powered_ratio(y[rows], f[rows], f), powered_ratio(y[rows], 0.0 * f[rows], 0.0 * f)))
    pairs = (powered_mean(right[rows], guess[rows], guess), powered_mean(right[rows], 0.0 * guess[rows], 0.0 * guess))
    return {"accuracy": pairs[0], "f1": _mean([x for x, _ in f1s])}, {"accuracy": pairs[1], "f1": _mean([x for _, x in f1s])}


def _followed(reference: Part, chunks: list[Part], draw: int) -> list[Estimated]:
    """`cbpe_corrected` as the service runs it, one increment a chunk, with the same draws of labels as `_few`: its figure after each."""
    k = reference.scores.shape[1]
    names = np.array([str(j) for j in range(k)], dtype=object)
    detector: Any = build("cbpe_corrected", labels=tuple(names), records_n=len(chunks[0].truth))
    state = detector.start(Reference(columns={}, kinds={}, sketches={}, bound=_pairs(reference, names), digest=""))
    found = []
    for i, chunk in enumerate(chunks):
        rng = np.random.default_rng([SEED, i, draw])
        labelled = _pairs(chunk.take(np.flatnonzero(rng.random(len(chunk.truth)) < LABELLED)), names)
        columns = {"output.scores": chunk.scores, "output.label": names[chunk.answer]}
        state, said = detector.step(state, _pane(i, columns, labelled, len(chunk.truth)))
        found.append(Estimated(value=said.value, low=said.low, high=said.high, n=float(said.n)))
    return found


def _read(reference: Part, chunks: list[Part]) -> tuple[list[Estimated | None], float, bool]:
    """`cbpe_inputs` as the service runs it, one increment a chunk (None: it abstains); its standard errors; whether it reads inputs."""
    names = np.array([str(j) for j in range(reference.scores.shape[1])], dtype=object)
    columns = tuple(f"input.{j}" for j in range(reference.features.shape[1]))
    detector: Any = build("cbpe_inputs", labels=tuple(names), columns=columns, records_n=len(chunks[0].truth))
    bound = replace(_pairs(reference, names), columns=dict(zip(columns, reference.features.T, strict=True)))
    state = detector.start(Reference(columns={}, kinds={}, sketches={}, bound=bound, digest=""))
    found: list[Estimated | None] = []
    for i, chunk in enumerate(chunks):
        asked = dict(zip(columns, chunk.features.T, strict=True))
        outputs = {"output.scores": chunk.scores, "output.label": names[chunk.answer]}
        state, said = detector.step(state, _pane(i, {**asked, **outputs}, Pairs.empty(), len(chunk.truth)))
        is_there = said.outcome is not Outcome.INSUFFICIENT
        found.append(Estimated(value=said.value, low=said.low, high=said.high, n=float(said.n)) if is_there else None)
    return found, state.t, state.trees is not None


def _pane(i: int, columns: dict[str, Any], pairs: Pairs, n: int) -> Increment:
    at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=i)
    return Increment(start=at, end=at + timedelta(hours=1), columns=columns, pairs=pairs, n=n)


def _pairs(rows: Part, names: NDArray[np.object_]) -> Pairs:
    return Pairs(predicted=names[rows.answer], label=names[rows.truth], scores=rows.scores)


def _chance_alone(chunk: Part, metric: Metric) -> float:
    """Mean error of who knows each score's chances (calibrated on the chunk's truth) but not how they fall: sqrt(2 / pi) deviations."""
    own = calibrate(chunk.scores, chunk.truth)
    found = _estimate(chunk, replace(own, variance=np.zeros_like(own.variance), own=own.chance * (1.0 - own.chance)), metric)
    return 0.5 * (found.high - found.low) / -float(ndtri(0.025)) * math.sqrt(2.0 / math.pi)


def _mean(figures: list[Estimated]) -> Estimated:
    """Of one each class; the interval's reach is the mean one, too wide unless the classes' errors go together."""
    value, low, high, n = (float(np.mean([getattr(f, x) for f in figures])) for x in ("value", "low", "high", "n"))
    return Estimated(value=value, low=low, high=high, n=n)


def _error(values: NDArray[np.float64], truth: NDArray[np.float64]) -> float:
    return float(np.abs(values - truth).mean())


def _values(figures: list[Estimated]) -> NDArray[np.float64]:
    return np.array([f.value for f in figures])


def _judged(figures: list[Estimated], truth: NDArray[np.float64]) -> list[float]:
    low, value, high = (np.array([getattr(f, x) for f in figures]) for x in ("low", "value", "high"))
    return [_error(value, truth), float(((low <= truth) & (truth <= high)).mean())]
