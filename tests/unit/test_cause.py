"""What an incident means: proven harm, proven harmlessness, or neither, and by which shift."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from daemon.decide.cause import Harm, Shift, diagnose, moved_inputs, of_answers
from daemon.decide.classes import compare
from daemon.decide.explained import Explained, explained
from daemon.decide.labelled import ALPHA, Labelled
from detectors.sequential.interval import share_sequence
from detectors.sequential.loss import Loss
from detectors.sketches.confusion import Confusion
from detectors.types import Outcome, Pairs, Score, Verdict


def subjects(**kinds: str) -> dict[str, dict[str, Any]]:
    """Subject -> kind of alarm; `input_age="drift"` is "input.age"."""
    return {f"d:{name}": {"subject": name.replace("_", ".", 1), "kind": kind} for name, kind in kinds.items()}


BOUND = {"limit": 0.15}
DRIFT = subjects(input_age="drift")


def test_drift_alone_is_unknown_until_labels_prove_something_and_says_how_many_there_are() -> None:
    found = diagnose(subjects(input_age="drift"), Labelled(n=0, **BOUND))
    assert (found.harm, found.shift) == (Harm.UNKNOWN, Shift.UNKNOWN)
    assert found.because.startswith("no label of a record since the opening has come yet; the bound and its tolerance allow 0.150")
    worse = diagnose(subjects(risk="risk"), Labelled(n=0, **BOUND))
    assert worse.because.startswith("the model is wrong more often: loss alarms (no label of a record since the opening has come yet)")
    few = diagnose(subjects(input_age="drift"), Labelled(n=30, errors_n=1, **BOUND))
    assert few.harm is Harm.UNKNOWN
    assert "more labels of records since the opening are missing" in few.because


def test_drift_with_a_loss_proven_to_be_within_its_bound_is_benign_and_a_covariate_shift() -> None:
    found = diagnose(subjects(input_age="drift", input_channel="drift"), Labelled(n=400, errors_n=20, **BOUND))
    assert (found.harm, found.shift) == (Harm.BENIGN, Shift.COVARIATE)
    assert "input.age, input.channel" in found.because
    assert "0.150" in found.because


@pytest.mark.parametrize(
    ("kind", "shift"), [("fairness", Shift.COVARIATE), ("calibration", Shift.COVARIATE), ("quality", Shift.DAMAGE)], ids=str
)
def test_a_loss_within_its_bound_does_not_acquit_what_else_alarms(kind: str, shift: Shift) -> None:
    held = {**DRIFT, **subjects(equalized_odds_difference=kind)}
    for likely in (None, "records that it is wrong about came more often"):
        found = diagnose(held, Labelled(n=400, errors_n=20, **BOUND), likely=likely)
        assert (found.harm, found.shift) == (Harm.UNKNOWN, shift)
        assert f"0.150 that the bound and its tolerance allow, but {kind} alarms too" in found.because


@pytest.mark.parametrize(("kind", "word"), [("risk", "loss"), ("performance", "performance")])
def test_an_alarm_about_loss_or_performance_is_harm_whatever_the_labels_since_say(kind: str, word: str) -> None:
    found = diagnose(subjects(risk=kind), Labelled(n=400, errors_n=20, **BOUND), quiet_n=3)
    assert (found.harm, found.shift) == (Harm.HARMFUL, Shift.CONCEPT)
    assert f"{word} alarms" in found.because


def test_harm_without_drift_is_a_shift_of_concept_only_where_inputs_are_watched() -> None:
    found = diagnose(subjects(risk="risk"), Labelled(n=400, errors_n=20, **BOUND))
    assert (found.harm, found.shift) == (Harm.HARMFUL, Shift.UNKNOWN)
    assert "as far as any is watched" in found.because


def test_harm_with_drift_does_not_pretend_to_know_which_of_both_it_was() -> None:
    found = diagnose(subjects(input_age="drift", risk="risk"), Labelled(n=50, errors_n=20, **BOUND))
    assert (found.harm, found.shift) == (Harm.HARMFUL, Shift.UNKNOWN)
    assert "not told apart" in found.because


def test_what_a_judge_says_of_answers_is_no_input_that_moved() -> None:
    moved = subjects(input_judge="drift", input_age="drift", risk="risk")
    assert moved_inputs(moved) == ["input.age", "input.judge"]
    assert moved_inputs(of_answers(moved, "input.judge")) == ["input.age"]
    within = {"k": {"subject": "input.judge[shop=fr]", "kind": "drift"}}
    assert moved_inputs(of_answers(within, "input.judge")) == []
    assert of_answers(moved, None) == moved
    benign = diagnose(of_answers(subjects(input_judge="drift"), "input.judge"), Labelled(n=400, errors_n=20, **BOUND))
    assert (benign.harm, benign.shift) == (Harm.BENIGN, Shift.UNKNOWN)


def test_damaged_data_come_before_any_other_cause_and_moved_priors_explain_inputs() -> None:
    assert diagnose(subjects(input_age="drift", input_x="quality"), Labelled()).shift is Shift.DAMAGE
    assert diagnose(subjects(input_age="drift"), Labelled(**BOUND), priors_moved=True).shift is Shift.LABEL


def test_without_a_source_bound_nothing_is_proven() -> None:
    found = diagnose(subjects(input_age="drift"), Labelled(n=1000, errors_n=1))
    assert found.harm is Harm.UNKNOWN
    assert "reference.bound" in found.because


def test_a_harmful_shift_is_ever_called_benign_in_at_most_alpha_of_the_streams() -> None:
    rng, ever, streams = np.random.default_rng(0), 0, 150
    for _ in range(streams):
        errors = np.cumsum(rng.random(2000) < BOUND["limit"])  # exactly as much loss as is just not allowed
        looks = range(20, 2000, 100)
        ever += any(
            diagnose(subjects(input_age="drift"), Labelled(n=n, errors_n=int(errors[n - 1]), **BOUND)).harm is Harm.BENIGN for n in looks
        )
    assert ever <= 12  # P(Binomial(150, .01) > 12) < 1e-7
    assert ALPHA == 0.01


def test_as_many_labels_as_are_said_to_be_missing_are_enough() -> None:
    found = diagnose(DRIFT, Labelled(n=0, errors_n=0, limit=0.1))
    n = Labelled(n=100, errors_n=5, limit=0.1).needed()
    assert n is not None
    assert share_sequence(0.05 * n, n, ALPHA)[1] < 0.1 <= share_sequence(0.05 * (n - 1), n - 1, ALPHA)[1]
    assert f"{Labelled(limit=0.1).needed()} more labels" in found.because
    assert Labelled(n=100, errors_n=10, limit=0.1).needed() is None


def answered(n_a: int, n_b: int, *, a_right: float = 0.9) -> Pairs:
    """`n_a` of class a, answered rightly in the given share, and `n_b` of class b."""
    right_a, right_b = round(a_right * n_a), round(0.9 * n_b)
    predicted = ["a"] * right_a + ["b"] * (n_a - right_a) + ["b"] * right_b + ["a"] * (n_b - right_b)
    return Pairs(label=np.array(["a"] * n_a + ["b"] * n_b, dtype=object), predicted=np.array(predicted, dtype=object))


@pytest.mark.parametrize(
    ("now", "shift"),
    [
        (answered(400, 1600), Shift.LABEL),
        (answered(1000, 1000), Shift.COVARIATE),
        (answered(400, 1600, a_right=0.5), Shift.COVARIATE),
        (answered(8, 32), Shift.COVARIATE),
    ],
    ids=["shares moved, answers did not", "nothing moved", "answers of a moved too", "too few labels"],
)
def test_a_label_shift_moves_the_shares_and_not_the_answers_within_a_class(now: Pairs, shift: Shift) -> None:
    classes = compare(answered(1000, 1000), Confusion().add(now))
    assert diagnose(DRIFT, Labelled(n=1000, errors_n=20, limit=0.1), classes=classes).shift is shift


def test_moved_shares_explain_nothing_where_answers_within_a_class_changed() -> None:
    classes = compare(answered(1000, 1000), Confusion().add(answered(400, 1600, a_right=0.5)))
    assert diagnose(DRIFT, Labelled(n=1000, errors_n=20, limit=0.1), priors_moved=True, classes=classes).shift is Shift.COVARIATE


def told(outcome: Outcome, *, high: float = 0.02, n: int = 300, name: str = "conformal_given_inputs") -> Verdict:
    """One of the detectors that explain."""
    return Verdict(
        detector=name,
        subject="s",
        outcome=outcome,
        evidence=Score(distance=3.0, limit=2.0),
        value=0.0,
        low=-0.1,
        high=high,
        n=n,
        because=name,
    )


def latest(labels: Verdict, classes: Outcome) -> dict[str, Verdict]:
    return {labels.detector: labels, "conformal_given_classes": told(classes, name="conformal_given_classes")}


SINCE = Labelled(n=400, errors_n=120, limit=0.15)
BOTH = subjects(input_age="drift", risk="risk")


def test_harm_with_moved_inputs_is_concept_where_neither_weights_nor_shares_explain_it_and_stays_so() -> None:
    causes = explained(latest(told(Outcome.ALARM), Outcome.ALARM), labelled=SINCE, tolerance=0.05)
    found = diagnose(BOTH, SINCE, explained=causes)
    assert (found.harm, found.shift) == (Harm.HARMFUL, Shift.CONCEPT)
    assert "conformal_given_inputs; conformal_given_classes" in found.because
    later = explained(latest(told(Outcome.OK), Outcome.OK), labelled=SINCE, tolerance=0.05, before=causes.concept)
    assert later == causes
    assert diagnose(BOTH, SINCE, explained=causes, priors_moved=True).shift is Shift.CONCEPT
    assert diagnose(subjects(input_age="drift", input_x="quality"), SINCE, explained=causes).shift is Shift.DAMAGE


@pytest.mark.parametrize(
    ("labels", "classes", "shift"),
    [
        (told(Outcome.ALARM), Outcome.OK, Shift.UNKNOWN),
        (told(Outcome.OK), Outcome.ALARM, Shift.COVARIATE),
        (told(Outcome.OK, high=0.09), Outcome.ALARM, Shift.COVARIATE),  # less than half of the rise of .20
        (told(Outcome.OK, high=0.11), Outcome.ALARM, Shift.UNKNOWN),
        (told(Outcome.OK, n=500), Outcome.ALARM, Shift.UNKNOWN),  # figures from before the opening
        (told(Outcome.INSUFFICIENT), Outcome.ALARM, Shift.UNKNOWN),
    ],
)
def test_inputs_are_the_cause_where_they_surely_explain_most_of_the_rise(labels: Verdict, classes: Outcome, shift: Shift) -> None:
    causes = explained(latest(labels, classes), labelled=SINCE, tolerance=0.05)
    found = diagnose(BOTH, SINCE, explained=causes)
    assert (found.harm, found.shift) == (Harm.HARMFUL, shift), found.because
    assert labels.because in found.because


def test_without_the_detectors_that_explain_nothing_is_said_of_concept() -> None:
    assert explained({}, labelled=SINCE, tolerance=0.05) == Explained()


def test_without_proof_either_way_more_likely_errors_make_harm_likely() -> None:
    found = diagnose(DRIFT, Labelled(**BOUND), likely="60% of the records are of a kind")
    assert found.harm is Harm.LIKELY
    assert "60% of the records are of a kind (no proof" in found.because
    assert diagnose(DRIFT, Labelled(n=400, errors_n=20, **BOUND), likely="x").harm is Harm.BENIGN
    assert diagnose(BOTH, SINCE, likely="x").harm is Harm.HARMFUL


NUMBERS = {"loss": Loss.ABSOLUTE_ERROR, "clip": 20.0, "limit": 0.2}


def of_losses(x: Any, **more: Any) -> Labelled:
    """Numbers whose clipped losses over the clip are x."""
    return Labelled(n=len(x), errors_n=float(x.sum()), squares=float(x @ x), **{**NUMBERS, **more})


def test_numbers_within_their_bound_are_benign_and_said_so_in_their_own_unit() -> None:
    found = diagnose(DRIFT, of_losses(np.full(300, 0.15)))
    assert (found.harm, found.shift) == (Harm.BENIGN, Shift.COVARIATE)
    assert "the mean absolute error of 300 labelled records since the opening is 3," in found.because
    assert "below the 4 that the bound" in found.because
    judged = diagnose(DRIFT, of_losses(np.full(300, 0.15), loss=Loss.QUALITY, clip=1.0))
    assert judged.harm is Harm.BENIGN
    assert "1 less the judgement" in judged.because
    few = diagnose(DRIFT, of_losses(np.full(8, 0.15)))
    assert few.harm is Harm.UNKNOWN
    assert "more labels of records since the opening are missing" in few.because
    assert diagnose(DRIFT, of_losses(np.full(300, 0.3))).harm is Harm.UNKNOWN
    assert "the model is further off" in diagnose(BOTH, of_losses(np.full(300, 0.3))).because


def test_labels_of_numbers_add_up_over_panes_as_the_ledger_keeps_them() -> None:
    nothing = np.full(4, None, dtype=object)
    pairs = Pairs(predicted=nothing, label=nothing, predicted_value=np.zeros(4), value=np.array([5.0, -10.0, 40.0, np.nan]))
    before = Labelled.of({"n": 0, "errors_n": 0}, Loss.ABSOLUTE_ERROR, limit=4.0, clip=20.0)
    once = before.add(pairs)
    assert (once.n, once.errors_n, once.squares, once.limit) == (3, 1.75, 1.3125, 0.2)
    twice = Labelled.of(once.kept(), Loss.ABSOLUTE_ERROR, limit=4.0, clip=20.0).add(pairs)
    assert (twice.n, twice.errors_n) == (6, 3.5)


def test_numbers_at_their_limit_are_ever_called_benign_in_at_most_alpha_of_the_streams() -> None:
    rng, ever, streams = np.random.default_rng(0), 0, 100
    for _ in range(streams):
        x = rng.beta(1.0, 4.0, 1000)
        ever += any(of_losses(x[:n]).bounds[1] < NUMBERS["limit"] for n in (20, 60, 150, 400, 1000))
    assert ever <= 9  # P(Binomial(100, .01) > 9) < 1e-6


def test_judgements_that_changed_are_concept_unless_inputs_moved_that_are_not_compared() -> None:
    since = of_losses(np.full(400, 0.3), loss=Loss.QUALITY, clip=1.0)
    latest = {"conformal_given_inputs_judged": told(Outcome.ALARM, name="conformal_given_inputs_judged")}
    assert diagnose(BOTH, since, explained=explained(latest, labelled=since, tolerance=0.05)).shift is Shift.CONCEPT
    hidden = explained(latest, labelled=since, tolerance=0.05, unread={"input.prompt"})
    found = diagnose(BOTH, since, explained=hidden)
    assert found.shift is Shift.UNKNOWN
    assert "input.prompt moved, of which only the length is compared" in found.because


@pytest.mark.parametrize(("high", "shift"), [(0.9, Shift.COVARIATE), (1.2, Shift.UNKNOWN)])
def test_inputs_explain_numbers_where_what_they_leave_open_is_less_than_half_of_the_rise(high: float, shift: Shift) -> None:
    since = of_losses(np.full(400, 0.3))  # 6, of at most 4: 5 % more than a bound of 3.81; a rise of 2.19
    latest = {"conformal_given_inputs_value": told(Outcome.OK, high=high, name="conformal_given_inputs_value")}
    assert diagnose(BOTH, since, explained=explained(latest, labelled=since, tolerance=0.05)).shift is shift
