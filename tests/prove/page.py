"""docs/validity.md."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime

from detectors import registry
from tests.prove import sharp, whole
from tests.prove.boundary import COUNTED
from tests.prove.followed import LEARNT
from tests.prove.limits import LOG_FLAKE
from tests.prove.remedies import REMEDIES
from tests.prove.results import ROOT, WHOLE
from tests.prove.run import CLIPPED
from tests.prove.trials import DELTA, EVER_ALPHA, LOOK_ALPHA, REFERENCE_N, ROWS_N, RUN_ALPHA
from tests.prove.verdicts import Row
from tests.prove.worlds import WORLDS

PAGE = ROOT / "docs" / "validity.md"
_INTRODUCTION = f"""Written by `make prove` on {{on}}, not by hand. {{whole}} Sections renewed since carry their own date, which is
that of the detector's rows in the tables outside the assumptions too. Trial k of a row is always the same (its seed is k); how many there
are depends on the machine, as CPU time ends them. `python -m tests.prove --only NAME` tries one detector.

{{counted}}

Every stream has {ROWS_N:,} rows and 334 panes and a reference of its own of {REFERENCE_N} rows. An e-detector (1/alpha =
{1 / RUN_ALPHA:.0f} panes, delta = {DELTA:g}): mean number of panes to the first false alarm, streams without one counted at their
length (so ">=" is a lower bound), and the share that alarms early, within 10 panes, at most 10 alpha + delta for any e-detector.
An e-process (alpha = {EVER_ALPHA:g}): share of streams that ever cross. A one-look test (alpha = {LOOK_ALPHA:g}): share of quiet windows
that it rejects. An interval: share that holds the truth, which is read from samples of 20,000; of a sequential detector at the end of
the stream, and at every look where the evidence holds for ever. "Limit" is what the figure must keep to, with room for chance: a valid
detector misses it with a probability of at most {math.exp(LOG_FLAKE):.0e} (mean runs: if they spread no more than an exponential).
"Too few": so few that no figure could be beyond the limit. "-": nothing is claimed."""
_INSIDE, _OUTSIDE_HEAD = "## Inside the assumptions", "## Outside the assumptions"
_REMEDIES_HEAD = "### What remedies restore"
_NO_REMEDY = (
    "- bursts: none. What comes ten times under ten ids is ten records to every detector. `duplicate_content_rise` says so, where contents "
    "are rich enough to be told apart; what sends them so has to be mended."
)
_BOUNDARY = """Tens of thousands of streams of single bets, with the conditional mean at its limit; real shifts that must be found; and, of
every sequential detector ("whole"), many streams of three small panes where its null ends: at the limit that it holds itself, or with rows
that are exchangeable with its reference. There the mean of an e-process is at most 1 at every pane, that of an e-detector at most n after n
panes. "Surely" is a lower bound of that mean (by betting, whatever its distribution), which must not be above 1; of the same detector that
counts every pane twice it is, but of these, which stand well within their nulls:"""
_PLANTED = """## Planted mistakes

Part of every `make test`: `tests/statistical/test_boundary.py` has every sequential detector count its panes twice, `test_planted.py` gives
some of them a stake that knows its own pane; the proofs at the boundary catch each. A one-sided test and a hidden global generator, planted
in a detector, and a doubled alpha, in a bet, are caught by the other proofs. Mean runs alone do not always show that evidence is counted
twice: where a detector keeps room in a quiet world, half as long a run is still as long as promised."""
_OUTSIDE = {w.name for w in WORLDS if not w.is_inside}
_REMEDIES = {remedy.name for remedy in REMEDIES}


def write(rows: list[Row], *, is_whole: bool) -> None:
    inside = [r for r in rows if r.what not in _OUTSIDE | _REMEDIES]
    remedied, outside = (sorted((r for r in rows if r.what in of), key=lambda r: r.detector) for of in (_REMEDIES, _OUTSIDE))
    broken = [r for r in inside if not r.is_kept]
    sections = "\n\n".join(_by_detector(inside, sorted([*registry.names(), WHOLE])))
    whole_says = "All trials were made." if is_whole else "A part of the trials was made."
    parts = [
        "# Validity: what the guarantees did when they were tried",
        _INTRODUCTION.format(on=datetime.now(UTC).date(), whole=whole_says, counted=_counted(sections)),
        _worlds(),
    ]
    if broken:
        parts += ["## Claims that do not hold", _table(broken)]
    parts += [
        _INSIDE,
        sections,
        _OUTSIDE_HEAD,
        "Nothing is promised here. Rows in another order keep their distribution, so every alarm is a false one.",
        _table(outside),
        _REMEDIES_HEAD,
        "\n".join(f"- {r.name}: {r.says}." for r in REMEDIES) + "\n" + _NO_REMEDY,
        _table(remedied),
        "## Intervals that are not held against a shifted world",
        _listed({**LEARNT, **CLIPPED}),
    ]
    PAGE.write_text("\n\n".join([*parts, *_sharp(sharp.rows()), _PLANTED]) + "\n")


def renew(rows: list[Row], names: Collection[str]) -> None:
    """The sections and rows of some detectors alone: what was tried of the others stays as it is."""
    head, _, body = PAGE.read_text().partition(f"\n\n{_INSIDE}\n\n")
    inside, _, rest = body.partition(f"\n\n{_OUTSIDE_HEAD}\n\n")
    on = f"Renewed on {datetime.now(UTC).date()}. "
    fresh = "\n\n".join(_by_detector([r for r in rows if r.what not in _OUTSIDE | _REMEDIES], names, on))
    sections = {section.partition("\n")[0]: section for part in (inside, fresh) for section in part.removeprefix("### ").split("\n\n### ")}
    inside = "\n\n".join(f"### {sections[name]}" for name in sorted(sections) if name in {*registry.names(), WHOLE})
    outside, _, remedied = rest.partition(_REMEDIES_HEAD)
    outside, remedied = (_renewed(text, rows, names, of) for text, of in ((outside, _OUTSIDE), (remedied, _REMEDIES)))
    head = re.sub(r"^\d+ of \d+ judgements.*$", _counted(inside), head, flags=re.MULTILINE)
    PAGE.write_text(f"{head}\n\n{_INSIDE}\n\n{inside}\n\n{_OUTSIDE_HEAD}\n\n{outside}{_REMEDIES_HEAD}{remedied}")


def _counted(inside: str) -> str:
    """Of the rows of all sections inside the assumptions."""
    found = Counter(line.rsplit(" | ", 1)[-1].removesuffix(" |") for line in inside.split("\n") if line.startswith("| "))
    kept, broken = found["yes"], found["NO"]
    few = f"{found['too few']} more rest on too few trials to fail, and {found['-']} rows claim nothing"
    return f"{kept} of {kept + broken} judgements inside the assumptions hold; {few}."


def _renewed(text: str, rows: list[Row], names: Collection[str], of: Collection[str]) -> str:
    """The first table of a text with other rows of some detectors, in their order."""
    lines = text.split("\n")
    start = next(i for i, line in enumerate(lines) if line.startswith("|---")) + 1
    end = next(i for i in range(start, len(lines) + 1) if i == len(lines) or not lines[i].startswith("| "))
    kept = [line for line in lines[start:end] if line.split(" | ")[0].removeprefix("| ") not in names]
    kept += _table([r for r in rows if r.what in of]).split("\n")[2:]
    return "\n".join([*lines[:start], *sorted(kept, key=lambda line: line.split(" | ")[0]), *lines[end:]])


def _worlds() -> str:
    lines = [f"| {w.name} | {w.says} | {'inside' if w.is_inside else 'outside'} |" for w in WORLDS]
    return "| world | rows | assumptions |\n|---|---|---|\n" + "\n".join(lines)


def _by_detector(rows: list[Row], names: Iterable[str], on: str = "") -> Iterable[str]:
    """`on`: when it was renewed, as a sentence before all others."""
    for name in names:
        mine, head = [r for r in rows if r.detector == name], f"### {name}\n\n{on}"
        if name == WHOLE:
            yield f"{head}{whole.section(mine)}"
            continue
        cls = registry.detector_class(name)
        yield f"{head}Guarantee: {cls.guarantee}. Assumption: {cls.assumption}."
        yield _table(mine) if mine else "Not tried yet."


def _table(rows: list[Row]) -> str:
    head = "| detector | world | claim | figure | limit | trials | holds |\n|---|---|---|---|---|---|---|"
    lines = [
        f"| {r.detector} | {r.what} | {r.claim} | {r.figure} | {r.limit} | {r.n} | {'-' if r.what in _OUTSIDE | _REMEDIES else r.holds} |"
        for r in rows
    ]
    return "\n".join([head, *lines])


def _sharp(proven: list[sharp.Row]) -> list[str]:
    if not proven:
        return []
    head = "| what | claim | figure | limit | streams | chance that a valid one misses |\n|---|---|---|---|---|---|"
    return [
        "## The bets inside the detectors, and whole detectors, at the boundary of their nulls",
        _BOUNDARY,
        _listed(COUNTED),
        "\n".join([head, *("| " + " | ".join(row) + " |" for row in proven)]),
    ]


def _listed(why: Mapping[str, str]) -> str:
    return "\n".join(f"- `{name}`: {reason}." for name, reason in sorted(why.items()))
