"""What recorded traffic says of a model's rhythm, and the settings that follow from it: in words and as data."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from detectors.column_scores import scores_of
from detectors.periodicity import ALPHA, LEAST_DAYS, LEAST_RATIO, periodicities
from detectors.rhythm import Rhythm
from detectors.types import ColumnKind

if TYPE_CHECKING:
    from daemon.settings import ModelSettings
    from daemon.watched.recorded import Recorded
    from detectors.periodicity import Periodicity

ROWS_AN_HOUR = 50
"""Reference rows that an hour of the rhythm should have: a moved mean of half a standard deviation is then soon seen in it."""
_CYCLES_DAYS = {Rhythm.HOUR_OF_DAY: 7, Rhythm.QUARTER_HOUR_OF_DAY: 7, Rhythm.HOUR_OF_WEEK: 28}
"""An hour that is in the reference once is not yet known: seven days, four weeks."""
_MOST_WITHIN = 5.0
"""Evidence (natural logarithm) that a third of an hour brings by what lies between its middle and its ends: an alarm takes about 14."""
_SEED = 20_261_129
_NAMED_N = 12
_OF_WITNESSES = (
    "Words and embeddings need more rows: with 50 an hour it is seen that all texts are about something else, with 700 that a third are."
)


@dataclass(frozen=True, kw_only=True)
class Found:
    """Of one model."""

    traffic: Recorded
    all: list[Periodicity]
    """Every column that was looked at, by rhythm."""
    proposal: dict[str, Any] | None
    """Settings below `reference`; None = nothing is to be changed."""

    @property
    def found(self) -> list[Periodicity]:
        """Those with a rhythm."""
        return [f for f in self.all if f.is_found]


def look_for_rhythm(model: ModelSettings, traffic: Recorded) -> Found:
    """All columns of the recording; the answer is the same for the same records."""
    subjects = model.subjects()
    scores = {s: score for s, v in traffic.columns.items() if s in subjects and (score := scores_of(v, subjects[s])) is not None}
    found = periodicities(scores, traffic.ats, np.random.default_rng(_SEED))
    return Found(traffic=traffic, all=found, proposal=_proposal(model, traffic, [f for f in found if f.is_found]))


def _proposal(model: ModelSettings, traffic: Recorded, found: list[Periodicity]) -> dict[str, Any] | None:
    wanted, held = _wanted(model, traffic, found), model.reference.rhythm
    enough = {Rhythm.HOUR_OF_DAY: set(Rhythm) - {Rhythm.NONE}, Rhythm.QUARTER_HOUR_OF_DAY: {wanted}, Rhythm.HOUR_OF_WEEK: {wanted}}
    if wanted is Rhythm.NONE or held in enough[wanted]:
        return None
    n = ROWS_AN_HOUR * wanted.hours_n
    days = max(_CYCLES_DAYS[wanted], math.ceil(n / max(1e-9, traffic.per_day * model.sample_ratio)))
    proposal: dict[str, Any] = {"rhythm": wanted.value}
    if model.reference.kind == "learn":
        proposal |= {"learn_days": max(days, math.ceil(model.reference.learn_days)), "learn_n": max(n, model.reference.learn_n)}
    return proposal | ({"max_n": n} if model.reference.max_n < n else {})


def _wanted(model: ModelSettings, traffic: Recorded, found: list[Periodicity]) -> Rhythm:
    if any(f.rhythm is Rhythm.HOUR_OF_WEEK for f in found):
        return Rhythm.HOUR_OF_WEEK
    if not found:
        return Rhythm.NONE
    return Rhythm.QUARTER_HOUR_OF_DAY if _is_steep(model, traffic, found) else Rhythm.HOUR_OF_DAY


def _is_steep(model: ModelSettings, traffic: Recorded, found: list[Periodicity]) -> bool:
    """Whether so much changes within an hour, at so many records, that this may alarm by itself.

    m records that are d standard deviations off bring m d^2 / 2; taken is a third of an hour, two thirds of the way to its end.
    """
    n, steepest = traffic.per_day * model.sample_ratio / 24.0, max(f.steepness for f in found)
    return n / 3.0 * (2.0 / 3.0 * steepest) ** 2 / 2.0 >= _MOST_WITHIN


def in_words(model: ModelSettings, found: Found) -> list[str]:
    """Sentences, then the settings to paste."""
    traffic = found.traffic
    others = f" and {traffic.versions_n - 1} more" if traffic.versions_n > 1 else ""
    labelled = f", {traffic.labels_per_day:,.0f} labels a day" if traffic.labels_n else ""
    rate = f"{traffic.per_day:,.0f} a day{labelled}"
    lines = [f"Recorded: {traffic.n:,} records of version {traffic.version}{others} in {traffic.days:.1f} days, {rate}."]
    told = found.found[:_NAMED_N]
    lines += [_sentence(f) for f in told]
    if len(found.found) > len(told):
        lines.append(f"… and {len(found.found) - len(told)} more.")
    for rhythm, least in LEAST_DAYS.items():
        looked = [f for f in found.all if f.rhythm is rhythm]
        if not looked:
            lines.append(f"A rhythm by {_words(rhythm)} was not looked for: that takes records of {least} days.")
        elif not any(f.is_found for f in looked):
            lines.append(f"No column has a rhythm by {_words(rhythm)} beyond chance (alpha {ALPHA:g} for all {len(looked)} together).")
    return lines + _advice(model, found)


def _sentence(f: Periodicity) -> str:
    more = " beyond that of the day" if f.rhythm is Rhythm.HOUR_OF_WEEK else ""
    kind = "daily" if f.rhythm is Rhythm.HOUR_OF_DAY else "weekly"
    explains = f"the {_words(f.rhythm)} explains {f.explained_ratio:.0%} of the variance of {f.of}{more}"
    return f"{f.subject} has a {kind} rhythm: {explains} (p {'<' if f.p < 0.01 else '='} {max(f.p, 0.01):.2f})."  # noqa: PLR2004 (two places)


def _words(rhythm: Rhythm) -> str:
    return rhythm.value.replace("_", " ").replace(" of ", " of the ")


def _advice(model: ModelSettings, found: Found) -> list[str]:
    held = model.reference.rhythm
    if found.proposal is None:
        if held is not Rhythm.NONE and not found.found:
            return [f"reference.rhythm: {held.value} is set, and these records do not need it: without it smaller shifts are seen."]
        return []
    wanted = Rhythm(found.proposal["rhythm"])
    n, days = ROWS_AN_HOUR * wanted.hours_n, _CYCLES_DAYS[wanted]
    least = f"at least {days} days and {n:,} rows ({ROWS_AN_HOUR} for each {wanted.name_of_hour}, UTC)"
    why = f"Without it the columns named above alarm falsely at some hours. The reference needs {least}, each with its `at`."
    is_learnt = bool({*model.subjects().values()} & {ColumnKind.TEXT, ColumnKind.EMBEDDING})
    lines = [why, *([_OF_WITNESSES] if is_learnt else []), "Set this, and see by `retuned replay` whether it is quiet then:", "reference:"]
    lines += [f"  {key}: {value}" for key, value in found.proposal.items()]
    if wanted is Rhythm.HOUR_OF_WEEK and _is_steep(model, found.traffic, found.found):
        lines.append(
            "At so many records the change within one hour may alarm by itself: a smaller sample_ratio helps, or quarter_hour_of_day."
        )
    return lines


def as_data(found: Found) -> dict[str, Any]:
    """For `--json`."""
    traffic = found.traffic
    return {
        "recorded": {
            "records": traffic.n,
            "labels": traffic.labels_n,
            "days": traffic.days,
            "records_per_day": traffic.per_day,
            "labels_per_day": traffic.labels_per_day,
            "version": traffic.version,
        },
        "rhythms": [
            {
                "subject": f.subject,
                "rhythm": f.rhythm.value,
                "explained_ratio": f.explained_ratio,
                "of": f.of,
                "p": f.p,
                "found": f.is_found,
            }
            for f in found.all
        ],
        "limits": {"alpha": ALPHA, "explained_ratio": LEAST_RATIO},
        "proposal": None if found.proposal is None else {"reference": found.proposal},
    }
