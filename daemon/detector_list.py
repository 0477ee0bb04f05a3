"""What `retuned detectors` prints."""

from __future__ import annotations

import json

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from detectors.catalogue import as_data, as_markdown, entries


def show_detectors(*, as_json: bool, is_markdown: bool) -> None:
    """A table; or all that is known of each, as JSON or as docs/detectors.md."""
    found = entries()
    if as_json:
        print(json.dumps(as_data(found), indent=2))  # noqa: T201 (the command's answer)
        return
    if is_markdown:
        print(as_markdown(found), end="")  # noqa: T201 (the command's answer)
        return
    table = Table("detector", "kind", "reads", "evidence", "guarantee", box=None, header_style="bold", padding=(0, 2, 0, 0))
    for entry in found:
        table.add_row(entry.name, entry.kind.value, ", ".join(entry.eats), entry.evidence, escape(entry.guarantee))
    to = Console()
    (to if to.is_terminal else Console(width=180)).print(table)
