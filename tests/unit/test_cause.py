"""What an incident means: proven harm, proven harmlessness, or neither, and by which shift."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from daemon.decide.cause import ALPHA, Harm, Labelled, Shift, diagnose


def subjects(**kinds: str) -> dict[str, dict[str, Any]]:
    """Subject -> kind of alarm; `input_age="drift"` is "input.age"."""
    return {f"d:{name}": {"subject": name.replace("_", ".", 1), "kind": kind} for name, kind in kinds.items()}


BOUND = {"limit": 0.15}


def test_drift_alone_is_unknown_until_labels_prove_something_and_says_how_many_there_are() -> None:
    found = diagnose(subjects(input_age="drift"), Labelled(n=0, **BOUND))
    assert (found.harm, found.shift) == (Harm.UNKNOWN, Shift.UNKNOWN)
    assert "0 of 0 labelled records" in found.because
    few = diagnose(subjects(input_age="drift"), Labelled(n=30, errors_n=1, **BOUND))
    assert few.harm is Harm.UNKNOWN
    assert "more labels will tell" in few.because


def test_drift_with_a_loss_proven_to_be_within_its_bound_is_benign_and_a_covariate_shift() -> None:
    found = diagnose(subjects(input_age="drift", input_channel="drift"), Labelled(n=400, errors_n=20, **BOUND))
    assert (found.harm, found.shift) == (Harm.BENIGN, Shift.COVARIATE)
    assert "input.age, input.channel" in found.because
    assert "0.150" in found.because


@pytest.mark.parametrize(("kind", "word"), [("risk", "loss"), ("performance", "performance")])
def test_an_alarm_about_loss_or_performance_is_harm_whatever_the_labels_since_say(kind: str, word: str) -> None:
    found = diagnose(subjects(risk=kind), Labelled(n=400, errors_n=20, **BOUND))
    assert (found.harm, found.shift) == (Harm.HARMFUL, Shift.CONCEPT)
    assert f"{word} alarms" in found.because


def test_harm_with_drift_does_not_pretend_to_know_which_of_both_it_was() -> None:
    found = diagnose(subjects(input_age="drift", risk="risk"), Labelled(n=50, errors_n=20, **BOUND))
    assert (found.harm, found.shift) == (Harm.HARMFUL, Shift.UNKNOWN)
    assert "not told apart" in found.because


def test_damaged_data_come_before_any_other_cause_and_moved_priors_explain_inputs() -> None:
    assert diagnose(subjects(input_age="drift", input_x="quality"), Labelled()).shift is Shift.DAMAGE
    assert diagnose(subjects(input_age="drift"), Labelled(**BOUND), priors_moved=True).shift is Shift.LABEL


def test_without_a_source_bound_nothing_is_proven() -> None:
    found = diagnose(subjects(input_age="drift"), Labelled(n=1000, errors_n=1))
    assert found.harm is Harm.UNKNOWN
    assert "reference.bound" in found.because


def test_a_harmful_shift_is_ever_called_benign_in_at_most_alpha_of_the_streams() -> None:
    rng, ever, streams = np.random.default_rng(0), 0, 300
    for _ in range(streams):
        errors = np.cumsum(rng.random(2000) < BOUND["limit"])  # exactly as much loss as is just not allowed
        looks = range(20, 2000, 40)
        ever += any(
            diagnose(subjects(input_age="drift"), Labelled(n=n, errors_n=int(errors[n - 1]), **BOUND)).harm is Harm.BENIGN for n in looks
        )
    assert ever <= 16  # P(Binomial(300, .01) > 16) < 1e-7
    assert ALPHA == 0.01
