"""docs/validity.md."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable
from datetime import UTC, datetime

from detectors import registry
from tests.prove import sharp, whole
from tests.prove.followed import LEARNT
from tests.prove.limits import LOG_FLAKE
from tests.prove.remedies import REMEDIES
from tests.prove.results import ROOT, WHOLE
from tests.prove.run import CLIPPED
from tests.prove.trials import DELTA, EVER_ALPHA, LOOK_ALPHA, REFERENCE_N, ROWS_N, RUN_ALPHA
from tests.prove.verdicts import Row
from tests.prove.worlds import WORLDS

PAGE = ROOT / "docs" / "validity.md"
_INTRODUCTION = f"""Written by `make prove` on {{on}}; not edited by hand. {{whole}} of the trials; {{kept}} of {{of}} judgements inside
the assumptions hold. Seeds are 0, 1, 2, … of each trial; the same sources give the same figures. `python -m tests.prove --only NAME`
tries one detector.

Every stream has {ROWS_N:,} rows and 334 panes and a reference of its own of {REFERENCE_N} rows. An e-detector (1/alpha =
{1 / RUN_ALPHA:.0f} panes, delta = {DELTA:g}): mean number of panes to the first false alarm, streams without one counted at their
length (so ">=" is a lower bound), and the share that alarms early, within 10 panes, at most 10 alpha + delta for any e-detector.
An e-process (alpha = {EVER_ALPHA:g}): share of streams that ever cross. A one-look test (alpha = {LOOK_ALPHA:g}): share of quiet windows
that it rejects. An interval: share that holds the truth, which is read from samples of 20,000; of a sequential detector at the end of
the stream, and at every look where the evidence holds for ever. "Limit" is what the figure must keep to, with room for chance: a valid
detector misses it with a probability of at most {math.exp(LOG_FLAKE):.0e} (mean runs: if they spread no more than an exponential)."""
_INSIDE, _OUTSIDE_HEAD = "## Inside the assumptions", "## Outside the assumptions"
_OUTSIDE = {w.name for w in WORLDS if not w.is_inside}
_REMEDIES = {remedy.name for remedy in REMEDIES}


def write(rows: list[Row], *, is_whole: bool) -> None:
    inside = [r for r in rows if r.what not in _OUTSIDE | _REMEDIES]
    remedied, outside = (sorted((r for r in rows if r.what in of), key=lambda r: r.detector) for of in (_REMEDIES, _OUTSIDE))
    proven = sharp.rows()
    broken = [r for r in inside if not r.is_kept]
    parts = [
        "# Validity: what the guarantees did when they were tried",
        _INTRODUCTION.format(
            on=datetime.now(UTC).date(), whole="All" if is_whole else "A part", kept=len(inside) - len(broken), of=len(inside)
        ),
        _worlds(),
    ]
    if broken:
        parts += ["## Claims that do not hold", _table(broken)]
    parts += [_INSIDE, *_by_detector(inside, sorted([*registry.names(), WHOLE]))]
    parts += [
        _OUTSIDE_HEAD,
        "Nothing is promised here. Rows in another order keep their distribution, so every alarm is a false one.",
        _table(outside),
        "### What remedies restore",
        "\n".join(f"- {r.name}: {r.says}." for r in REMEDIES),
        _table(remedied),
        "## Intervals that are not held against a shifted world",
        "\n".join(f"- `{name}`: {why}." for name, why in sorted({**LEARNT, **CLIPPED}.items())),
    ]
    if proven:
        parts += [
            "## The bets inside the detectors, at the boundary of their nulls",
            "Tens of thousands of streams of single bets, with the conditional mean at its limit; and real shifts that must be found.",
            "| what | claim | figure | limit | streams | chance that a valid one misses |\n|---|---|---|---|---|---|\n"
            + "\n".join("| " + " | ".join(row) + " |" for row in proven),
        ]
    parts += [_planted()]
    PAGE.write_text("\n\n".join(parts) + "\n")


def renew(rows: list[Row], names: Collection[str]) -> None:
    """The sections and rows of some detectors alone: what was tried of the others stays as it is."""
    head, _, body = PAGE.read_text().partition(f"\n\n{_INSIDE}\n\n")
    inside, _, rest = body.partition(f"\n\n{_OUTSIDE_HEAD}\n\n")
    fresh = "\n\n".join(_by_detector([r for r in rows if r.what not in _OUTSIDE | _REMEDIES], names))
    sections = {section.partition("\n")[0]: section for part in (inside, fresh) for section in part.removeprefix("### ").split("\n\n### ")}
    inside = "\n\n".join(f"### {sections[name]}" for name in sorted(sections) if name in {*registry.names(), WHOLE})
    outside, _, remedied = rest.partition("### What remedies restore")
    outside, remedied = (_renewed(text, rows, names, of) for text, of in ((outside, _OUTSIDE), (remedied, _REMEDIES)))
    held = [line.rsplit("| ", 1)[-1] for line in inside.split("\n") if line.endswith(("| yes |", "| NO |"))]
    kept = sum(line.startswith("yes") for line in held)
    head = re.sub(r"\d+ of \d+ judgements", f"{kept} of {len(held)} judgements", head)
    head = re.sub(r"(by `make prove` on [\d-]+)[^;]*;", rf"\1, in parts renewed until {datetime.now(UTC).date()};", head)
    PAGE.write_text(f"{head}\n\n{_INSIDE}\n\n{inside}\n\n{_OUTSIDE_HEAD}\n\n{outside}### What remedies restore{remedied}")


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


def _by_detector(rows: list[Row], names: Iterable[str]) -> Iterable[str]:
    for name in names:
        mine = [r for r in rows if r.detector == name]
        if name == WHOLE:
            yield f"### {name}\n\n{whole.section(mine)}"
            continue
        cls = registry.detector_class(name)
        yield f"### {name}\n\nGuarantee: {cls.guarantee}. Assumption: {cls.assumption}."
        yield _table(mine) if mine else "Not tried yet."


def _table(rows: list[Row]) -> str:
    head = "| detector | world | claim | figure | limit | trials | holds |\n|---|---|---|---|---|---|---|"
    lines = [
        f"| {r.detector} | {r.what} | {r.claim} | {r.figure} | {r.limit} | {r.n} | "
        f"{'-' if r.what in _OUTSIDE | _REMEDIES else 'yes' if r.is_kept else 'NO'} |"
        for r in rows
    ]
    return "\n".join([head, *lines])


def _planted() -> str:
    return (
        "## Planted mistakes\n\n`tests/statistical/test_planted.py`, part of every `make test`, spoils real detectors and shows that these "
        "proofs catch it: a doubled alpha with a fixed bet, a one-sided test, a hidden global generator, evidence counted twice, an "
        "increment used for its own bet."
    )
