"""One set: estimates of each chunk beside what its late targets say."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from detectors.performance.calibration import Calibration, calibrate, score_counts
from detectors.performance.confidence import LEAST_N, Metric, estimate
from detectors.performance.estimated import Estimated
from detectors.performance.prediction_powered import powered_mean, powered_ratio, until_contradicted
from detectors.performance.reweighted import density_ratio
from detectors.sequential.table import coding_of, encode, normal_features
from tests.bench.environments import python_of
from tests.bench.estimates.sets import CHUNKS_N, SETS, Part, folder, load

if TYPE_CHECKING:
    from numpy.typing import NDArray

METRICS: tuple[Metric, ...] = ("accuracy", "f1", "roc_auc")
FEW_METRICS: tuple[Metric, ...] = ("accuracy", "f1")
DRAWS_N, LABELLED = 20, 0.05
SEED = 20261125


def judge(name: str) -> dict[str, Any]:
    """{method: {metric: [mean absolute error, share of chunks whose interval holds the realised figure]}}, and what PAPE weighed."""
    home = folder()
    reference, chunks = load(name, home)
    truth = {m: np.array([_realised(c, m) for c in chunks]) for m in METRICS}
    plain = calibrate(reference.scores, reference.truth)
    weighted = [_weighted(reference, c, i) for i, c in enumerate(chunks)]
    found: dict[str, Any] = {"NannyML CBPE": {m: [_error(np.array(v), truth[m]), None] for m, v in _rival(name, home).items()}}
    found["CBPE"] = {m: _judged([_estimate(c, plain, m) for c in chunks], truth[m]) for m in METRICS}
    # where the weights leave too few rows PAPE abstains; here, where every method must say something, CBPE speaks for it
    chosen = [w if w.n >= LEAST_N else plain for w in weighted]
    found["PAPE"] = {m: _judged([_estimate(c, w, m) for c, w in zip(chunks, chosen, strict=True)], truth[m]) for m in METRICS}
    few = [[_few(c, plain, np.random.default_rng([SEED, i, draw])) for draw in range(DRAWS_N)] for i, c in enumerate(chunks)]
    many = {m: np.repeat(truth[m], DRAWS_N) for m in FEW_METRICS}
    for at, method in enumerate(("5 % labels, PPI++", "5 % labels alone")):
        found[method] = {m: _judged([x[at][m] for each in few for x in each], many[m]) for m in FEW_METRICS}
    free = [{m: _estimate(c, plain, m) for m in FEW_METRICS} for c in chunks]
    both = [{m: until_contradicted(free[i][m], x[0][m]) for m in FEW_METRICS} for i, each in enumerate(few) for x in each]
    found["CBPE until 5 % labels contradict it"] = {m: [_error(_values([x[m] for x in both]), many[m]), None] for m in FEW_METRICS}
    return {
        "methods": found,
        "abstained": sum(w.n < LEAST_N for w in weighted),
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
