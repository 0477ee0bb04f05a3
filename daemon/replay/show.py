"""A replay's summary as tables for a terminal."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from daemon.show.wire import iso

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_MOST = 50


@contextmanager
def shown_progress() -> Iterator[Callable[[float, int], None]]:
    """The clock of the recording on stderr while it runs; nothing where that is no terminal."""
    with Console(stderr=True).status("reading the recording") as status:
        yield lambda now, n: status.update(f"{iso(now)}: {n} records")


def show_summary(summary: dict[str, Any], out: Path, console: Console | None = None) -> None:
    """Print it; everything is in OUT/summary.json."""
    to = console or Console()
    head = (
        f"{summary['records']} records and {summary['labels']} labels, {summary['start']} to {summary['end']}, {summary['windows']} windows"
    )
    to.print(head, highlight=False)
    for what, reasons in summary["skipped"].items():
        to.print(f"skipped {what}: {', '.join(f'{n} {reason}' for reason, n in reasons.items())}", highlight=False)
    if summary["first_error"]:
        to.print(f"the first of them: {escape(summary['first_error'])}", highlight=False)
    _show(to, "Alarms", summary["alarms"], ("at", "record_index", "subject", "detector", "value", "because"), "no alarm")
    incidents = [{**i, **(i["diagnosis"] or {}), "subjects": ", ".join(sorted(i["subjects"]))} for i in summary["incidents"]]
    _show(to, "Incidents", incidents, ("opened_at", "closed_at", "harmful", "harm", "shift", "subjects"), "no incident")
    _show(to, "Would have retrained", summary["triggers"], ("at", "kind", "subject", "because"), "no retraining would have started")
    _show(to, "Latest verdicts", summary["verdicts"], ("subject", "detector", "outcome", "value", "n", "because"), "no verdict")
    to.print(f"all of it: {escape(str(out / 'summary.json'))}", highlight=False)


def _show(to: Console, title: str, items: list[dict[str, Any]], columns: tuple[str, ...], none: str) -> None:
    if not items:
        to.print(f"{title}: {none}", highlight=False)
        return
    more = f" (the first {_MOST} of {len(items)})" if len(items) > _MOST else ""
    table = Table(*columns, title=f"{title}{more}", title_justify="left", box=None, header_style="bold", pad_edge=False)
    for item in items[:_MOST]:
        table.add_row(*(_cell(item.get(c)) for c in columns))
    to.print(table)


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.3g}" if isinstance(value, float) else escape(str(value))
