"""Gates: exact where pairs are few, clustered where rows belong together, undecided where rows are missing."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize, stats

from detectors.types import Outcome
from retrain.gates import power
from retrain.gates.non_inferiority import NonInferiority
from retrain.gates.paired import clustered_low, difference, exact_low, exact_p, score_low, score_p
from retrain.gates.record import Judged, is_sound, judge
from retrain.gates.reload import Reload
from retrain.gates.superiority import Superiority
from retrain.plan import GatePart
from retrain.types import Evaluation, Permanent, Reason


def objects(values: object) -> np.ndarray:
    found = np.empty(len(values), dtype=object)  # type: ignore[arg-type]
    found[:] = list(values)  # type: ignore[call-overload]
    return found


ROWS = objects([f"r{i}" for i in range(1000)])


def evaluation(loss: np.ndarray, *, cluster: np.ndarray | None = None, group: np.ndarray | None = None) -> Evaluation:
    rows = ROWS[: len(loss)].copy()
    return Evaluation(
        row=rows,
        label=np.full(len(loss), "a", dtype=object),
        predicted=np.where(loss > 0, "b", "a").astype(object),
        loss=np.asarray(loss, dtype=float),
        cluster=rows if cluster is None else cluster,
        groups={} if group is None else {"age": group},
    )


def pair(better: int, worse: int, n: int) -> tuple[Evaluation, Evaluation]:
    champion, candidate = np.zeros(n), np.zeros(n)
    champion[:better] = 1
    candidate[better : better + worse] = 1
    return evaluation(champion), evaluation(candidate)


def two_models(rng: np.random.Generator, n: int, discordant: float, gain: float) -> tuple[Evaluation, Evaluation]:
    """Two independently seeded models: `discordant` share of rows differ, the candidate is better by `gain`."""
    u = rng.random(n)
    better, worse = u < (discordant + gain) / 2, u > 1 - (discordant - gain) / 2
    return evaluation(better), evaluation(worse)


@pytest.mark.parametrize(("n", "discordant"), [(60, 0.2), (400, 0.22)])
def test_two_equally_good_models_pass_superiority_at_most_at_alpha(n: int, discordant: float) -> None:
    # 2,000 trials at alpha .05: more than 135 passes has probability below .0005 (binomial), a doubled alpha gives 200
    rng = np.random.default_rng(1)
    gate = Superiority(alpha=0.05, planned_n=n)
    passes = sum(gate.judge(*two_models(rng, n, discordant, 0.0)).outcome is Outcome.OK for _ in range(2000))
    assert stats.binom.sf(135, 2000, 0.05) < 5e-4
    assert passes <= 135
    assert passes >= 20  # the test can fail: it is no constant "no"


@pytest.mark.parametrize(("n", "discordant"), [(100, 0.12), (450, 0.05), (400, 0.22)])
def test_a_candidate_worse_by_the_margin_passes_non_inferiority_at_most_about_at_alpha(n: int, discordant: float) -> None:
    rng = np.random.default_rng(2)
    gate = NonInferiority(alpha=0.05, margin=0.05, min_n=50)
    passes = sum(gate.judge(*two_models(rng, n, discordant, -0.05)).outcome is Outcome.OK for _ in range(2000))
    assert passes <= 140
    assert passes >= 10


def test_power_is_what_the_recipe_says_and_simulation_agrees() -> None:
    assert power.smallest_gain(n=500, discordant_ratio=0.13, alpha=0.05, power=0.8) == pytest.approx(0.04, rel=0.01)
    n = 272
    assert power.smallest_gain(n=n, discordant_ratio=0.22, alpha=0.05, power=0.8) == pytest.approx(0.07, abs=0.001)
    rng = np.random.default_rng(3)
    gate = Superiority(alpha=0.05, planned_n=n)
    found = np.mean([gate.judge(*two_models(rng, n, 0.22, 0.07)).outcome is Outcome.OK for _ in range(800)])
    assert found == pytest.approx(0.8, abs=0.05)


@pytest.mark.parametrize(("better", "worse"), [(0, 0), (5, 0), (4, 0), (12, 3), (9, 9), (20, 4)])
def test_below_25_discordant_pairs_superiority_is_the_exact_mcnemar_test(better: int, worse: int) -> None:
    verdict = Superiority(alpha=0.05, planned_n=200).judge(*pair(better, worse, 200))
    exact = stats.binomtest(better, better + worse, alternative="greater").pvalue if better + worse else 1.0
    assert verdict.evidence.p == pytest.approx(exact)  # type: ignore[union-attr]
    assert (verdict.outcome is Outcome.OK) == (exact < 0.05)
    assert (exact_low(better, worse, 200, 0.05) > 0) == (exact_p(better, worse) < 0.05)


def test_the_score_bound_uses_the_likelihood_maximised_under_the_margin() -> None:
    better, worse, n, delta = 6, 11, 180, -0.09

    def minus_log_likelihood(q: float) -> float:  # q: share of "worse"
        return -(better * np.log(q + delta) + worse * np.log(q) + (n - better - worse) * np.log(1 - 2 * q - delta))

    q = optimize.minimize_scalar(minus_log_likelihood, bounds=(-delta + 1e-9, (1 - delta) / 2 - 1e-9), method="bounded").x
    z = (better - worse - n * delta) / np.sqrt(n * (2 * q + delta * (1 - delta)))
    assert score_p(better, worse, n, delta) == pytest.approx(stats.norm.sf(z), abs=1e-4)
    low = score_low(better, worse, n, 0.05)
    assert score_p(better, worse, n, low) == pytest.approx(0.05, abs=1e-6)


def test_no_discordant_pair_among_few_rows_proves_nothing() -> None:
    gate = NonInferiority(alpha=0.05, margin=0.03, min_n=50)
    assert gate.judge(*pair(0, 0, 50)).outcome is Outcome.ALARM
    assert gate.judge(*pair(0, 0, 200)).outcome is Outcome.OK
    assert score_low(0, 0, 100, 0.05) == pytest.approx(-(1.645**2) / (100 + 1.645**2), rel=0.01)


def test_rows_of_one_document_do_not_count_as_independent() -> None:
    rng = np.random.default_rng(4)
    champion = np.repeat(rng.random(20) < 0.6, 20).astype(float)  # whole documents are right or wrong
    candidate = np.repeat(rng.random(20) < 0.4, 20).astype(float)
    documents = objects([f"d{i // 20}" for i in range(400)])
    apart = difference(evaluation(champion), evaluation(candidate))
    together = difference(evaluation(champion, cluster=documents), evaluation(candidate, cluster=documents))
    wide, narrow = together.mean - clustered_low(together, 0.05), apart.mean - clustered_low(apart, 0.05)
    assert wide > 3.0 * narrow
    sums = together.d.reshape(20, 20).mean(axis=1)
    assert wide == pytest.approx(stats.t.ppf(0.95, 19) * stats.sem(sums), rel=1e-9)


def test_one_cluster_never_passes() -> None:
    champion, candidate = np.ones(100), np.zeros(100)
    one = objects(["d"] * 100)
    verdict = Superiority(alpha=0.05, planned_n=50).judge(evaluation(champion, cluster=one), evaluation(candidate, cluster=one))
    assert verdict.outcome is Outcome.ALARM


@pytest.mark.parametrize("n", [0, 1, 49])
def test_fewer_rows_than_planned_are_insufficient_however_good_the_candidate_looks(n: int) -> None:
    assert Superiority(alpha=0.05, planned_n=50).judge(*pair(n, 0, n)).outcome is Outcome.INSUFFICIENT
    assert NonInferiority(alpha=0.05, margin=0.05, min_n=50).judge(*pair(n, 0, n)).outcome is Outcome.INSUFFICIENT


def test_evaluations_of_different_rows_are_refused_and_a_row_twice_is_a_leak() -> None:
    champion, candidate = pair(3, 1, 50)
    with pytest.raises(Permanent) as other:
        difference(champion, evaluation(np.zeros(49)))
    assert other.value.reason is Reason.BAD_DATA
    champion.row[1] = candidate.row[1] = "r0"
    with pytest.raises(Permanent) as twice:
        difference(champion, candidate)
    assert twice.value.reason is Reason.LEAK


@pytest.mark.parametrize(
    ("moved", "n", "outcome"),
    [(0.0, 50, Outcome.OK), (0.2, 50, Outcome.ALARM), (None, 0, Outcome.INSUFFICIENT), (float("nan"), 5, Outcome.INSUFFICIENT)],
)
def test_an_adapter_must_load_back_with_the_same_scores(moved: float | None, n: int, outcome: Outcome) -> None:
    assert Reload().judge(moved, n).outcome is outcome


def record_of(gate: tuple[Evaluation, Evaluation], *, protected: tuple[str, ...] = (), moved: float | None = 0.0) -> dict[str, object]:
    part = GatePart(protected=protected, group_min_n=50)
    judged = Judged(gate=gate, old_domain=None, reload_difference=moved, reload_n=50)
    return judge(judged, part, planned_n=200, plan_digest="p", data_digest="d")


def with_groups(sizes: dict[str | None, int]) -> tuple[Evaluation, Evaluation]:
    groups = objects([name for name, n in sizes.items() for _ in range(n)])
    champion = (np.arange(len(groups)) % 4 == 0).astype(float)
    return evaluation(champion, group=groups), evaluation(np.zeros(len(groups)), group=groups)


def test_a_record_passes_only_when_every_gate_does() -> None:
    assert record_of(with_groups({"young": 120, "old": 100}), protected=("age",))["passed"]
    small = record_of(with_groups({"young": 200, "old": 20}), protected=("age",))
    assert (small["passed"], small["inconclusive"]) == (False, True)
    unknown = record_of(with_groups({None: 220}), protected=("age",))
    assert (unknown["passed"], unknown["inconclusive"]) == (False, True)
    broken = record_of(with_groups({"young": 200, "old": 20}), protected=("age",), moved=0.5)
    assert (broken["passed"], broken["inconclusive"]) == (False, False)


def test_a_record_that_was_changed_afterwards_is_noticed() -> None:
    record = record_of(pair(0, 0, 300))
    assert is_sound(record)
    assert not record["passed"]
    assert not is_sound({**record, "passed": True})
    assert not is_sound(None)
