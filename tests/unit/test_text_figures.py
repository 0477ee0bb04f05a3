"""Figures of texts: as Python counts them, and what a moved one is called. The texts are real sentences."""

from __future__ import annotations

import itertools
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from daemon.decide.monitors.all import monitors
from daemon.settings import Settings
from daemon.store.codec import decode, encode
from detectors.of_reference import filled
from detectors.registry import build
from detectors.rhythm import Rhythm
from detectors.sequential.text_figures import FiguresState
from detectors.sequential.text_measures import CHARS_N, MEASURES, known_words, measured
from detectors.sketches.records import AT
from detectors.types import Increment, Outcome, Pairs, Reference, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SENTENCES = Path(__file__).with_name("sentences.json")
START = datetime(2026, 1, 1, tzinfo=UTC)
NAMES = [m.name for m in MEASURES]


def sentences() -> list[str]:
    """Of operators' documents, as they once were, in another order; each once."""
    found = json.loads(SENTENCES.read_text())
    return [found[i] for i in np.random.default_rng(1).permutation(len(found))]


def drawn(n: int, seed: int) -> list[str]:
    rng, pool = np.random.default_rng(seed), sentences()
    return [pool[i] for i in rng.integers(0, len(pool), n)]


def column(texts: Sequence[str | None]) -> np.ndarray[Any, Any]:
    found = np.empty(len(texts), dtype=object)
    found[:] = texts
    return found


def reference(texts: Sequence[str | None], **columns: Any) -> Reference:
    return Reference(columns={"input.x": column(texts), **columns}, kinds={}, sketches={}, bound=Pairs.empty(), digest="0")


def pane(i: int, texts: Sequence[str | None], **columns: Any) -> Increment:
    start = START + timedelta(minutes=i)
    return Increment(
        start=start, end=start + timedelta(minutes=1), columns={"input.x": column(texts), **columns}, pairs=Pairs.empty(), n=len(texts)
    )


def after_quiet(change: Callable[[str], str | None], *, panes_n: int = 1, alpha: float = 1e-3, seed: int = 3) -> Verdict:
    """The verdict after some quiet panes of 32, whose evidence rests at the end (else they count as of the change), and changed ones."""
    detector = build("text_figures", column="input.x", alpha=alpha)
    state, n = detector.start(reference(drawn(500, seed))), 0
    while n < 10 or state.recent[2, 0]:
        state, verdict = detector.step(state, pane(n, drawn(32, 100 * seed + n)))
        assert verdict.outcome is Outcome.OK, verdict.because
        n += 1
    for i in range(n, n + panes_n):
        state, verdict = detector.step(state, pane(i, [change(text) for text in drawn(32, 100 * seed + i)]))
    return verdict


def counted(text: str, known: set[str]) -> list[float]:
    """Every figure the slow way."""
    read = text[:CHARS_N]
    words, tokens, n = read.split(), re.findall(r"\w+", read.lower()), max(1, len(read))
    return [
        len(text),
        sum(map(len, words)) / max(1, len(words)),
        sum(map(str.isupper, read)) / n,
        sum(not c.isalnum() and not c.isspace() for c in read) / n,
        sum(map(str.isdigit, read)) / n,
        sum(not c.isascii() for c in read) / n,
        sum(t not in known for t in tokens) / max(1, len(tokens)),
    ]


def test_figures_are_what_python_counts() -> None:
    odd = ["", " ", "\n\n", "Привет, МИР 12", "two\x1fwords\u00a0here", "naïve café ½", "A" * 5000, "x y " * 900, "ends in blank \t"]
    texts, taught = [*sentences()[:220], *odd], sentences()[220:]
    known = {t for s in taught for t in re.findall(r"\w+", s.lower())}
    found = measured(texts, known_words(taught))
    np.testing.assert_allclose(found, [counted(text, known) for text in texts])


def test_a_missing_text_has_no_figures_and_broken_characters_harm_nothing() -> None:
    found = measured(["plain", None, "\ud800 lone", "😀 😀"], known_words(["plain", None]))
    assert np.isnan(found[1]).all()
    assert np.isfinite(found[[0, 2, 3]]).all()
    assert found[3, NAMES.index("foreign")] == pytest.approx(2 / 3)
    assert measured([], known_words([])).shape == (0, len(MEASURES))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda t: t[: len(t) // 3], "texts are shorter: on average "),
        (lambda t: f"{t} {t} {t}", "texts are longer: on average "),
        (str.upper, "texts have more capitals: on average "),
        (str.lower, "texts have fewer capitals: on average "),
        (lambda t: re.sub(r"[^\w\s]", "", t), "texts have less punctuation: on average "),
        (lambda t: re.sub("[aeo]", "ä", t), "more characters are outside ASCII: on average "),
        (lambda t: re.sub(r"[a-z]+", lambda m: m[0][::-1], t), "more words are new: on average "),
        (lambda t: re.sub(r"[aeiou]", "7", t), "texts have more digits: on average "),
        (lambda _: None, "texts are missing: 100% of the last "),
    ],
    ids=["shorter", "longer", "capitals", "no capitals", "no marks", "foreign", "new words", "digits", "missing"],
)
def test_the_first_pane_of_a_changed_figure_alarms_and_names_it(change: Callable[[str], str | None], says: str) -> None:
    lows = []
    for seed in range(2, 6):  # each with a reference and quiet panes of its own
        verdict = after_quiet(change, alpha=1.25e-3, seed=seed)
        if verdict.outcome is not Outcome.ALARM:  # where a figure had alarmed by itself in the quiet panes its evidence has begun anew
            continue
        assert verdict.because.startswith(says)
        assert 0.0 <= verdict.low < verdict.value < verdict.high <= 1.0
        assert verdict.e_value is not None
        assert verdict.e_value.log10_e > 0.5
        lows.append(verdict.low)
    assert len(lows) >= 3
    assert np.median(lows) > 0.1  # a figure whose own evidence did not rest has quiet texts in its distance


def test_what_was_and_what_is_are_told_in_the_figure_s_own_unit() -> None:
    lengths = []

    def longer(t: str) -> str:
        lengths.append(3 * len(t) + 2)
        return f"{t} {t} {t}"

    verdict = after_quiet(longer)
    told = re.search(r"on average (\S+) characters in the last (\d+) texts, (\S+) in the reference", verdict.because)
    assert told is not None
    assert float(told[3]) == pytest.approx(np.mean([len(t) for t in drawn(500, 3)]), rel=0.01)
    assert float(told[1]) == pytest.approx(np.mean(lengths), rel=0.01)
    assert int(told[2]) == len(lengths) == 32


def test_a_third_of_the_texts_is_enough_within_six_panes_and_none_is_quiet_for_long() -> None:
    turn = itertools.cycle([True, False, False])
    verdict = after_quiet(lambda t: t.lower().rstrip(".") + " " + t.lower() if next(turn) else t, panes_n=6)
    assert verdict.outcome is Outcome.ALARM
    assert after_quiet(lambda t: t, panes_n=60).outcome is Outcome.OK


def test_an_empty_pane_is_no_step() -> None:
    detector = build("text_figures", column="input.x", alpha=0.01)
    state = detector.start(reference(drawn(5000, 3)))
    state, before = detector.step(state, pane(0, drawn(50, 4)))
    again, after = detector.step(state, pane(1, []))
    assert again is state
    assert (after.outcome, after.evidence, after.n) == (before.outcome, before.evidence, before.n)


@pytest.mark.parametrize("rhythm", [Rhythm.NONE, Rhythm.HOUR_OF_DAY])
def test_the_ledger_keeps_nothing_of_the_reference_and_a_state_goes_on_as_if_it_had_not_been_read(rhythm: Rhythm) -> None:
    detector = build("text_figures", column="input.x", alpha=0.01, rhythm=rhythm)
    known = reference(drawn(5000, 3), **{AT: START.timestamp() + 3600.0 * np.arange(5000)})
    state, _ = detector.step(detector.start(known), pane(0, drawn(50, 4)))
    data = encode(state)
    assert len(data) < (60_000 if rhythm is Rhythm.NONE else 300_000)
    read = decode(data, FiguresState)
    assert len(read.known) == len(read.figures[0].hours[0].keys) == 0
    again = filled(read, detector.start(known))
    for i in range(1, 9):
        texts = [text if i < 5 else text.upper() for text in drawn(50, 5 + i)]
        (state, one), (again, two) = (detector.step(s, pane(i, texts)) for s in (state, again))
        assert one == two
    assert one.outcome is Outcome.ALARM
    assert encode(state) == encode(again)


def test_a_reference_without_the_column_is_insufficient_and_says_so() -> None:
    detector = build("text_figures", column="input.y", alpha=0.01)
    _, verdict = detector.step(detector.start(reference(drawn(50, 1))), pane(0, drawn(50, 2)))
    assert verdict.outcome is Outcome.INSUFFICIENT
    assert "reference" in verdict.because


@pytest.mark.parametrize("rhythm", [Rhythm.NONE, Rhythm.HOUR_OF_DAY])
def test_shouting_at_night_is_no_alarm_where_the_reference_shouts_at_night(rhythm: Rhythm) -> None:
    detector = build("text_figures", column="input.x", alpha=1e-3, rhythm=rhythm)

    def day(n: int, seed: int, hour: int) -> list[str]:
        return [t.upper() if hour < 6 else t for t in drawn(n, seed)]

    hours = np.repeat(np.arange(24), 40)
    known = [text for hour in range(24) for text in day(40, hour, hour)]
    state, found = detector.start(reference(known, **{AT: START.timestamp() + 3600.0 * hours})), set()
    for i in range(5):
        ats = np.full(64, START.timestamp() + 86_400.0 + 60.0 * i)
        state, verdict = detector.step(state, pane(1440 + i, day(64, 200 + i, 0), **{AT: ats}))
        found.add(verdict.outcome)
    assert (Outcome.ALARM in found) == (rhythm is Rhythm.NONE)


def test_every_text_column_is_watched_by_default_the_model_s_own_text_too() -> None:
    model = {
        "name": "m",
        "task": "text-generation",
        "columns": {"prompt": "text"},
        "reference": {"rhythm": "hour_of_day"},
    }
    (one,) = Settings.model_validate({"models": [model]}).models
    found = {d.subject: d for d in monitors(one, has_bound=False) if d.name == "text_figures"}
    assert {*found} == {"input.prompt", "output.text"}
    assert {d.rhythm for d in found.values()} == {Rhythm.HOUR_OF_DAY}  # type: ignore[attr-defined]  # of TextFigures
