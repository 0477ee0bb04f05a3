"""The page's table of real series in the order in which they came: where each rule alarms first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.bench.detectors import annotated, matched, nannyml_sets
from tests.bench.detectors.score import OURS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.bench.detectors.case import Scenario
    from tests.bench.detectors.score import Scores

_SAYS = """\
## Real series in the order in which they came"""
_SERIES = """\
River's four annotated series, which are in short above with their rows resampled, once through as they came, in panes of 10 rows.
Thresholds are matched as everywhere, on rows resampled from before the change, with as small a reference. Real rows depend on those
before them and move before anybody annotates a change, so what is promised for independent rows is not kept: ours alarms before
the change in {matched} of {of} at the matched threshold, in {shipped} at the one that guarantees 100 panes of independent rows. One pass
each is a case, no rate."""
_SETS = """\
NannyML's sets with a change of their own likewise: their columns in panes of 100 rows, and (`late`) their answers in panes of 50, whose
labels come five panes after their records; the delay is counted from the records. A program made the loans, the cards and the prices,
row by row; the census is real, with those of a household together. At the matched threshold {matched} of {of} passes of ours alarm before
the change and {theirs} of {of_theirs} of the rivals'; by luck alone, once in 100 panes, {columns:.0%} of those of columns would and
{answers:.0%} of those of answers."""
_NOTE = """\
A number is the delay in panes; "early, 3 of 20" is a first alarm in the third of the 20 panes before the change; "missed" is none at all.
The last two columns count the series with an early one."""


def section(passed: Mapping[str, Scores]) -> str:
    """Of the series that were passed through; none: nothing."""
    parts = [_SAYS]
    for says, series in ((_SERIES, annotated.IN_ORDER), (_SETS, nannyml_sets.IN_ORDER)):
        known = {one.id: passed[one.id] for one in series if one.id in passed}
        if known:
            parts += [_said(says, known), _table(known), f"{_NOTE} {_listed(series, known)}"]
    return "\n\n".join(parts) if len(parts) > 1 else ""


def _said(says: str, passed: Mapping[str, Scores]) -> str:
    rules = _rules(passed)
    ours, theirs = ([_early(passed, rule) for rule in rules if rule.startswith(OURS) == is_ours] for is_ours in (True, False))
    before_n = {scores.change for scores in passed.values()}
    return says.format(
        matched=sum(one[0] for one in ours),
        of=sum(one[1] for one in ours),
        shipped=sum(one[2] for one in ours),
        theirs=sum(one[0] for one in theirs),
        of_theirs=sum(one[1] for one in theirs),
        columns=1.0 - (1.0 - 1.0 / matched.LOOKS) ** min(before_n),
        answers=1.0 - (1.0 - 1.0 / matched.LOOKS) ** max(before_n),
    )


def _table(passed: Mapping[str, Scores]) -> str:
    lines = [
        f"| rule | {' | '.join(f'`{name}`' for name in passed)} | early, matched | early, as shipped |",
        "|" + "---|" * (len(passed) + 3),
    ]
    for rule in _rules(passed):
        early, of, shipped, of_shipped = _early(passed, rule)
        name = f"**{rule}**" if rule.startswith(OURS) else rule
        cells = " | ".join(_at(scores, rule) for scores in passed.values())
        lines.append(f"| {name} | {cells} | {early} of {of} | {f'{shipped} of {of_shipped}' if of_shipped else ''} |")
    return "\n".join(lines)


def _rules(passed: Mapping[str, Scores]) -> list[str]:
    return sorted({rule for scores in passed.values() for rule in scores.null if not rule.startswith("dummy")}, key=_ours_first)


def _at(scores: Scores, rule: str) -> str:
    return first(scores, rule, matched.threshold_at(scores.null[rule], matched.LOOKS)) if rule in scores.null else ""


def _early(passed: Mapping[str, Scores], rule: str) -> tuple[int, int, int, int]:
    """(series with an early alarm at the matched threshold, of so many; at the shipped one, of so many)."""
    read = [scores for scores in passed.values() if rule in scores.null]
    at = [_at(scores, rule) for scores in read]
    own = [first(scores, rule, limit) for scores in read if (limit := scores.shipped[rule]) is not None]
    early, early_own = (sum(where.startswith("early") for where in found) for found in (at, own))
    return early, len(at), early_own, len(own)


def _listed(series: Sequence[Scenario], passed: Mapping[str, Scores]) -> str:
    said = (
        f"`{one.id}`: {one.says}, reference of {one.reference_n} rows, {one.drift[1]} panes before the change and {one.drift[2]} after it"
        for one in series
        if one.id in passed
    )
    return f"{'; '.join(said)}."


def _ours_first(rule: str) -> tuple[bool, str]:
    return not rule.startswith(OURS), rule


def first(scores: Scores, rule: str, threshold: float) -> str:
    """Where the first alarm of the one pass is."""
    at, panes_n = int(matched.first_alarm(scores.drift[rule], threshold)[0]), scores.drift[rule].shape[1]
    if at < scores.change:
        return f"early, {at + 1} of {scores.change}"
    return "missed" if at == panes_n else f"{at - scores.change + 1}"
