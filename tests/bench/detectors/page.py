"""docs/benchmarks-detectors.md: who is first on each scenario, every row of every scenario, and how it was measured."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from tests.bench.detectors import matched, passes, plots, rivals
from tests.bench.detectors.case import seed_of
from tests.bench.detectors.matched import LOOKS
from tests.bench.detectors.scenarios import in_order, scenarios
from tests.bench.detectors.score import OURS
from tests.bench.environments import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.bench.detectors.score import Scores

_PAGE = ROOT / "docs" / "benchmarks-detectors.md"


_NEAR = 1.5
"""A run length of at most so many times the one asked for needs no remark: few streams know no finer one."""
_SHOWN = "column-mean-large"

_HOW = f"""\
- A stream has its own reference and its own seed. A scenario's seed is the first eight bytes of the SHA-256 of its id, as a big-endian
  number: that of `{_SHOWN}` is {seed_of(_SHOWN)}. Its quiet stream number k is drawn by numpy's `default_rng([seed, 0, k])`, its
  drifting stream number k by `default_rng([seed, 1, k])`, both from 0: the same command gives the same streams.
- Matched: the lowest threshold at which quiet streams, each watched to its first alarm, alarm at most once in {LOOKS:.0f} panes watched
  (streams without an alarm count with all their panes). Where scores are so coarse that this is above {_NEAR * LOOKS:.0f}, the run
  length of the next looser threshold stands in brackets beside it, or - where the rule has none (its knob ends).
- Delay: panes from the change to the first alarm, that pane included; streams that alarmed before the change (early) are left out.
  The mean counts a missed change as the whole horizon. MTR: run length / mean delay x (1 - missed).
- Interval: 200 bootstrap draws of quiet and drifting streams, the threshold found anew in each. "none": no false alarm at all.
- As shipped: at the maker's own default limit, at each look; for ours the threshold that guarantees a mean of at least 100 panes.
- Both sides show their best row of a scenario; so near-equal delays favour whoever has more rows there (the rivals). Our bets on errors
  and other losses run with tolerance 0, max_drop or max_rise 0.001, since no rival tolerates any; their defaults of 0.05 are slower on
  purpose. Those on gaps between groups have two rows: as shipped (a gap of 0.1, a ratio of 0.8 is allowed), and "any gap" (0.001, 0.999).
  Those on faults of the data stay as shipped: 1 % more than in the reference is allowed, 5 % of the ids.
- River's annotated real series are resampled: rows are drawn anew, with replacement, within the segment before the change and that
  after it. Values are real, their order is not: every rule, and most of all a rank test, gets the exchangeable rows that it assumes.
  What the order does is in the tables of real series above. NannyML's sets and what river's generators make are drawn from pools likewise.
- Where labels come five panes late, no rule that reads them can be quicker than 6. NannyML's estimate (CBPE) reads scores of the records
  as they come, and can. So can whoever watches the answer's score as a column, ours and rivals: that says that scores moved, not that
  errors rose.
- Where NannyML's sets change was read off their data, see tests/bench/detectors/nannyml_rows.py. Its car loans, those with holes and its
  synthetic sample are one set under three names, with equal scores and labels; the Titanic has no answers of a model, and no scenario.
- Of texts the rivals that read none watch four figures that were chosen here (characters, characters a word, share of capitals, share of
  punctuation); `text_figures` reads its own seven of each text.
- Embeddings are 32 dimensions of latent semantic analysis of the same texts, so that no model is needed.
- Detectors that only say yes or no (ADWIN, HDDM_W) run at some 60 strictnesses side by side, a twentieth of a decade apart where they are
  matched (HDDM_W, the slowest, at 31, a tenth apart); the score is the strictest that says yes.
- Rows of ours "by" a column are what `monitors.segments` runs: a detector for each value of the column, their e-values averaged.
- E-processes (`risk`, `risk_value`, `risk_judged`, all of fairness) promise no false alarm in a whole epoch with 99 %. Matched at one in
  100 panes their threshold is what the first panes reach, where evidence has not fallen yet: hence so many early ones.
- Rivals that watch one series at a time watch what our detectors read: columns as they are, the 0/1 errors of labelled pairs, or, where
  a scenario names them, its losses, scores, groups or faults (rows end with their name). NannyML's realised area under the curve and mean
  loss, estimated accuracy and missing values are there where a scenario has what they read; its estimator of the errors of numbers, which
  learns from inputs, is not: these scenarios have none.
- river reads at most 20 columns, frouros' charts one up and down or two losses up (more would take hours), and NannyML's domain
  classifier, which learns trees anew for every pane, was not run; other rivals without a row cannot read the scenario's columns.
- Detectors of ours that inform, explain or estimate have no row: they alarm nobody, so there is no run length to match and no alarm to wait
  for. Each of those that alarm is in a scenario."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One rule on one scenario."""

    name: str
    matched: matched.Found
    shipped: matched.Found | None
    """At its makers' own threshold (for ours: the guaranteed one)."""
    ms: float
    """CPU milliseconds a look, all columns."""

    @property
    def is_ours(self) -> bool:
        """Whether this project made it."""
        return self.name.startswith(OURS)


def rows(scores: Scores) -> list[Row]:
    """By median delay, then by mean delay."""
    found = []
    for name, null in scores.null.items():
        drift, shipped = scores.drift[name], scores.shipped[name]
        found.append(
            Row(
                name=name,
                matched=matched.found(null, drift, scores.change, looks=LOOKS),
                shipped=None if shipped is None else matched.found(null, drift, scores.change, threshold=shipped),
                ms=1000.0 * scores.seconds[name] / scores.looks,
            )
        )
    return sorted(found, key=lambda row: (row.matched.median, row.matched.mean, row.name))


def best(table: list[Row], *, is_ours: bool) -> Row | None:
    """The first of ours or of the others, those that can be matched alone."""
    return next((row for row in table if row.is_ours == is_ours and row.matched.run_length >= 0.9 * LOOKS), None)


def standing(table: list[Row]) -> str:
    """Whether our best median delay is shorter than the best rival's, equal or longer."""
    mine, theirs = best(table, is_ours=True), best(table, is_ours=False)
    if mine is None or not np.isfinite(mine.matched.median):
        return "missed by all" if theirs is None or not np.isfinite(theirs.matched.median) else "longer"
    if theirs is None or mine.matched.median < theirs.matched.median:
        return "shorter"
    return "equal" if mine.matched.median == theirs.matched.median else "longer"


_SURE = 0.95
"""Share of draws of the streams in which a difference has to be there."""


def is_beyond_chance(table: list[Row]) -> bool:
    """Whether our best row is sooner (or later) than the best rival's in 95 % of the draws of streams too."""
    mine, theirs = best(table, is_ours=True), best(table, is_ours=False)
    if mine is None or theirs is None or standing(table) not in {"shorter", "longer"}:
        return False
    ours, others = np.array(mine.matched.medians), np.array(theirs.matched.medians)
    return float((ours < others if standing(table) == "shorter" else ours > others).mean()) >= _SURE


def write_page(results: Mapping[str, Scores], *, is_whole: bool) -> None:
    """Print all tables; the page and its pictures only after a whole run."""
    tables = {name: rows(results[name]) for name in scenarios() if name in results}
    passed = {name: results[name] for name in in_order() if name in results}
    waiting = [name for name in scenarios() | in_order() if name not in results] if is_whole else []
    parts = [
        _head(tables, waiting),
        _summary(tables),
        rivals.section(tables, lambda table: standing(table) if best(table, is_ours=False) else None),
        *([passes.section(passed)] if passed else []),
        _details(results, tables),
        _method(results),
    ]
    text = "\n\n".join(parts) + "\n"
    print(text)
    if is_whole:
        plots.draw(tables, ROOT / "docs" / "benchmarks-detectors.png")
        _PAGE.write_text(text)


def _head(tables: Mapping[str, list[Row]], waiting: list[str]) -> str:
    standings = [standing(table) for table in tables.values()]
    counts = {word: standings.count(word) for word in ("shorter", "equal", "longer", "missed by all")}
    said = ", ".join(f"{word} in {n}" for word, n in counts.items() if n)
    beyond = [standing(table) for table in tables.values() if is_beyond_chance(table)]
    today = datetime.now(UTC).date()
    where = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
    not_yet = f"\n\nNot run yet (a further run goes on): {', '.join(waiting)}." if waiting else ""
    return f"""# Benchmarks: how soon a change is seen

Written by `make bench-detectors` ({today}, {where}). Speed is in [benchmarks.md](benchmarks.md), error rates in [validity.md](validity.md).

Every rule gets the threshold at which quiet streams of the same world alarm once in {LOOKS:.0f} panes, then all see the same changes.
Over {len(tables)} scenarios our best median delay is, beside the best rival's: **{said}**.{not_yet}
Beyond chance, in {_SURE:.0%} of the draws of streams, it is shorter in {beyond.count("shorter")} and longer in {beyond.count("longer")}.

![Median delay at matched run length](benchmarks-detectors.png)"""


def _summary(tables: Mapping[str, list[Row]]) -> str:
    lines = ["| scenario | what changes | ours, panes | best rival, panes | which | ours is | beyond chance |", "|" + "---|" * 7]
    for name, table in tables.items():
        mine, theirs = best(table, is_ours=True), best(table, is_ours=False)
        says = scenarios()[name].says
        sure = "yes" if is_beyond_chance(table) else ""
        which = theirs.name if theirs else ""
        lines.append(f"| `{name}` | {says} | {_delay(mine)} | {_delay(theirs)} | {which} | {standing(table)} | {sure} |")
    note = (
        "Median delay with its 95 % interval, the pane of the alarm included; - is: missed by more than half. Beyond chance: so between\n"
        "these two rows in 95 % of 200 draws of the streams. Of many near-equal rows one is lucky: that favours the side with more of\n"
        "them, the rivals."
    )
    return "\n".join(["## In short", "", *lines, "", note])


def _delay(row: Row | None) -> str:
    if row is None:
        return "-"
    found = row.matched
    low, high = found.interval
    return f"{_looks(found.median)} [{_looks(low)}, {_looks(high)}]"


def _looks(looks: float) -> str:
    return f"{looks:.0f}" if np.isfinite(looks) else "-"


def _details(results: Mapping[str, Scores], tables: Mapping[str, list[Row]]) -> str:
    parts = ["## Every rule"]
    for name, table in tables.items():
        scenario, scores = scenarios()[name], results[name]
        sizes = (
            f"{scenario.profile}; {len(scenario.kinds)} columns, panes of {scores.pane_n}, reference of {scenario.reference_n}; "
            f"{next(iter(scores.null.values())).shape[0]} quiet streams of {scenario.null[1]} panes, "
            f"{next(iter(scores.drift.values())).shape[0]} with the change after {scenario.drift[1]} of {sum(scenario.drift[1:])}."
        )
        if scenario.watched:
            sizes += f" Rivals watch, each in a row of its own: {', '.join(scenario.watched)}."
        skipped = f" Not run, since it would take hours: {', '.join(scenario.skip)}." if scenario.skip else ""
        parts.append(f"### {name}\n\n{scenario.says}; {sizes}{skipped}\n\n{_table(table)}")
    return "\n\n".join(parts)


def _table(table: list[Row]) -> str:
    head = "| rule | median delay | mean delay | missed | early | run length | MTR | as shipped: run length | delay | missed | ms a look |"
    lines = [head, "|" + "---|" * 11]
    for row in table:
        found, shipped = row.matched, row.shipped
        own = f"{_length(shipped.run_length)} | {_looks(shipped.median)} | {_share(shipped.missed)}" if shipped is not None else " | | "
        name = f"**{row.name}**" if row.is_ours else row.name
        mean, mtr = f"{found.mean:.1f}", f"{found.mtr:.0f}" if np.isfinite(found.mtr) else "-"
        lines.append(
            f"| {name} | {_delay(row)} | {mean} | {_share(found.missed)} | {_share(found.early)} | {_matched_length(found)} | {mtr} "
            f"| {own} | {row.ms:.2f} |"
        )
    return "\n".join(lines)


def _share(share: float) -> str:
    return f"{share:.0%}" if np.isfinite(share) else "-"


def _length(looks: float) -> str:
    return f"{looks:.0f}" if np.isfinite(looks) else "none"


def _matched_length(found: matched.Found) -> str:
    """With the next looser one in brackets where it is far from what was asked for."""
    if found.run_length <= _NEAR * LOOKS:
        return _length(found.run_length)
    return f"{_length(found.run_length)} ({_looks(found.looser)})"


def _method(results: Mapping[str, Scores]) -> str:
    versions = {name: version for scores in results.values() for name, version in scores.versions.items()}
    return "\n".join(
        [
            "## How it was measured",
            "",
            _HOW,
            "- Versions: " + ", ".join(f"{name} {version}" for name, version in sorted(versions.items())) + ".",
        ]
    )
