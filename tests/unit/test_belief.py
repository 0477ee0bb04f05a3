"""What is believed of an incident: e-BH names what changed, e-LOND over epochs says whether anything did."""

import math
from dataclasses import replace

import pytest

from daemon.decide.belief import Belief, believe, in_words
from detectors.combine import e_lond_levels, mean_e_value
from detectors.sequential.purse import DISCOVERIES
from detectors.types import EDetectorValue, EValue, Outcome, Verdict

LOUD = EDetectorValue(log10_e=9.0, alpha=1e-5)


def verdict(subject: str, log10_e: float | None) -> Verdict:
    """Of an e-detector that alarms; `log10_e`: of the e-process beside it."""
    beside = None if log10_e is None else EValue(log10_e=log10_e, alpha=DISCOVERIES)
    figures = {"value": 0.5, "low": 0.4, "high": 0.6, "n": 100}
    said = Verdict(detector="f1_floor", subject=subject, outcome=Outcome.ALARM, evidence=LOUD, because="It alarms.", **figures)  # type: ignore[arg-type]
    return replace(said, e_value=beside)


def believed(*found: Verdict, **known: object) -> Belief:
    said = believe(found, **{"before": None, "earlier": (), "silent": {}, **known})  # type: ignore[arg-type]
    assert said is not None
    return said


def test_what_changed_is_named_by_e_processes_never_by_e_detectors() -> None:
    said = believed(verdict("input.a", 4.0), verdict("f1[channel=web]", 3.0), verdict("input.c", 0.5), verdict("input.d", None))
    assert said.named == ("input.a", "f1[channel=web]")
    assert believe([verdict("input.d", None)], before=None, earlier=(), silent={}) is None
    bet = replace(verdict("risk", None), detector="risk", evidence=EValue(log10_e=5.0, alpha=0.01))
    assert believed(bet, verdict("risk", 4.0)).named == ("risk",)


def test_a_text_with_two_detectors_is_one_hypothesis_whose_evidence_is_their_mean() -> None:
    texts = [replace(verdict("input.text", log10_e), detector=name) for log10_e, name in ((2.0, "text_figures"), (-9.0, "text_witness"))]
    quiet = [verdict(f"input.q{i}", -9.0) for i in range(5)]
    assert believed(*texts, *quiet[:4]).named == ("input.text",)  # 50 of the 5 / .1 that one of five subjects needs
    assert believed(*texts, *quiet).named == ()  # of six 60, though one of its detectors has 100
    assert believed(*texts, *quiet).log10_e == pytest.approx(math.log10(50.0 / 6))  # not 100 / 7


def test_one_loud_column_among_many_confirms_only_by_its_share_of_the_mean() -> None:
    quiet = [verdict(f"input.q{i}", -1.0) for i in range(99)]
    alone, among = (believed(verdict("input.a", 3.0), *others) for others in ([], quiet))
    assert (alone.is_confirmed, among.is_confirmed) == (True, False)
    assert among.log10_e == pytest.approx(1.0, abs=0.02)
    assert believed(verdict("input.a", 3.6), *quiet).is_confirmed


def test_each_epoch_costs_and_each_confirmed_one_makes_the_next_cheaper() -> None:
    needed = {len(earlier): believed(verdict("a", 0.0), earlier=earlier).needed for earlier in ([], [None], [None, 0.5, None])}
    assert needed[0] < needed[1] < needed[3]
    assert believed(verdict("a", 0.0), earlier=[9.0]).needed == pytest.approx(needed[1] - 0.30103, abs=1e-4)
    stream = [EValue(log10_e=x, alpha=0.1) for x in (9.0, 0.0, 9.0, 0.0)]
    assert believed(verdict("a", 0.0), earlier=[9.0, None, 9.0]).needed == pytest.approx(-math.log10(e_lond_levels(stream, 0.1)[-1]))


def test_what_was_confirmed_stays_so_and_is_said_in_words() -> None:
    first = believed(verdict("risk[channel=web]", 5.0))
    later = believed(verdict("risk[channel=web]", -0.5), before=first.as_data())
    assert (first.is_confirmed, later.is_confirmed, later.log10_e) == (True, True, first.log10_e)
    assert later.named == ()
    assert in_words(first.as_data())[1] == "Surely changed (at most one in ten named falsely): risk[channel=web]."
    many = {**first.as_data(), "named": [*(f"input.c{i}[shop=fr]" for i in range(40)), "input.c0", "risk"]}
    said = ": input.c0, risk, input.c0[shop=fr], input.c1[shop=fr], input.c2[shop=fr], input.c3[shop=fr], input.c4[shop=fr], "
    assert (
        said + "input.c5[shop=fr], input.c6[shop=fr], input.c7[shop=fr], input.c8[shop=fr], input.c9[shop=fr] and 30 more."
        in in_words(many)[1]
    )
    (alone,) = in_words(believed(verdict("a", 0.0)).as_data())
    assert alone.startswith("Not confirmed yet: log10 evidence 0.0 over everything watched, 1.4 would confirm it.")


def test_what_was_named_and_alarms_no_more_is_told_as_over() -> None:
    first = believed(verdict("input.a", 4.0), verdict("risk", 4.0), verdict("input.c", 0.0))
    later = believed(verdict("input.a", 0.0), verdict("risk", 4.0), before=first.as_data(), silent={"input.a": 0.0, "input.c": 0.0})
    assert (later.named, later.over) == (("risk",), {"input.a": 0.0})  # that c changed was never sure
    said = ["Surely changed (at most one in ten named falsely): risk.", "Changed, and over: input.a since 1970-01-01 00:00 UTC."]
    assert in_words(later.as_data())[1:] == said
    stays = believed(verdict("input.a", 4.0), verdict("risk", 4.0), before=later.as_data(), silent={"input.a": 0.0})
    assert in_words(stays.as_data())[1:] == said  # an e-process does not know that it is over
    again = believed(verdict("input.a", 4.0), verdict("risk", 4.0), before=stays.as_data(), silent={})
    assert in_words(again.as_data())[1:] == ["Surely changed (at most one in ten named falsely): input.a, risk."]


def test_the_mean_takes_e_values_only() -> None:
    with pytest.raises(TypeError, match="EDetectorValue"):
        mean_e_value([LOUD])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="at least one"):
        mean_e_value([])
