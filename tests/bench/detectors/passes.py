"""The page's table of real series in the order in which they came: where each rule alarms first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.bench.detectors import matched
from tests.bench.detectors.scenarios import in_order
from tests.bench.detectors.score import OURS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.bench.detectors.score import Scores

_SAYS = """\
## Real series in the order in which they came

River's four annotated series, which are in short above with their rows resampled, once through as they came, in panes of 10 rows.
Thresholds are matched as everywhere, on rows resampled from before the change, with as small a reference. Real rows depend on those
before them and move before anybody annotates a change, so what is promised for independent rows is not kept: ours alarms before
the change in {matched} of {of} at the matched threshold, in {shipped} at the one that guarantees 100 panes of independent rows. One pass
each is a case, no rate.

{table}

A number is the delay in panes; "early, 3 of 20" is a first alarm in the third of the 20 panes before the change; "missed" is none at all.
The last two columns count the series with an early one. {series}"""


def section(passed: Mapping[str, Scores]) -> str:
    """Of the series that were passed through; none: nothing."""
    if not passed:
        return ""
    rules = sorted({rule for scores in passed.values() for rule in scores.null if not rule.startswith("dummy")}, key=_ours_first)
    head = f"| rule | {' | '.join(f'`{name}`' for name in passed)} | early, matched | early, as shipped |"
    lines, counts = [head, "|" + "---|" * (len(passed) + 3)], {}
    for rule in rules:
        read = {name: scores for name, scores in passed.items() if rule in scores.null}
        at = {name: first(scores, rule, matched.threshold_at(scores.null[rule], matched.LOOKS)) for name, scores in read.items()}
        own = [first(scores, rule, limit) for scores in read.values() if (limit := scores.shipped[rule]) is not None]
        counts[rule] = [sum(where.startswith("early") for where in found) for found in (at.values(), own)]
        name = f"**{rule}**" if rule.startswith(OURS) else rule
        cells = " | ".join(at.get(name, "") for name in passed)
        lines.append(f"| {name} | {cells} | {counts[rule][0]} of {len(at)} | {f'{counts[rule][1]} of {len(own)}' if own else ''} |")
    ours = next(both for rule, both in counts.items() if rule.startswith(OURS))
    series = "; ".join(
        f"`{name}`: {one.says}, reference of {one.reference_n} rows, {one.drift[1]} panes before the change and {one.drift[2]} after it"
        for name, one in in_order().items()
        if name in passed
    )
    return _SAYS.format(matched=ours[0], shipped=ours[1], of=len(passed), table="\n".join(lines), series=f"{series}.")


def _ours_first(rule: str) -> tuple[bool, str]:
    return not rule.startswith(OURS), rule


def first(scores: Scores, rule: str, threshold: float) -> str:
    """Where the first alarm of the one pass is."""
    at, panes_n = int(matched.first_alarm(scores.drift[rule], threshold)[0]), scores.drift[rule].shape[1]
    if at < scores.change:
        return f"early, {at + 1} of {scores.change}"
    return "missed" if at == panes_n else f"{at - scores.change + 1}"
