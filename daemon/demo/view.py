"""What a newcomer sees while it runs: a progress line, the current figures and a timeline of events (rich)."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from types import TracebackType

_LINES = 16
_MARKS = {"alarm": "red", "incident": "red", "traffic": "cyan", "champion": "green", "the candidate is promoted": "green"}


@dataclass
class View:
    """A live picture on a terminal; plain lines elsewhere (a file, CI)."""

    console: Console = field(default_factory=Console)
    facts: dict[str, str] = field(default_factory=dict)
    """Name -> what stands beside it in the panel."""
    lines: list[tuple[float, str]] = field(default_factory=list)
    """(seconds since the demo began, sentence)."""
    _began: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[what]}"), TimeElapsedColumn(), console=self.console
        )
        self._task = self._progress.add_task("", total=1, what="")
        self._live = Live(console=self.console, refresh_per_second=4, get_renderable=self._picture)

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._live.is_started:
            self._live.stop()

    def phase(self, name: str) -> None:
        """A new phase begins."""
        self._progress.reset(self._task, description=name, total=1, what="")
        self.tell(name)

    def advance(self, done: float, total: float, what: str = "") -> None:
        """How far the phase is."""
        self._progress.update(self._task, completed=done, total=max(total, 1), what=what)

    def tell(self, sentence: str) -> None:
        """A line of the timeline."""
        at = time.monotonic() - self._began
        self.lines.append((at, sentence))
        if not self.console.is_terminal:
            self.console.print(f"{at:6.1f} s  {sentence}", markup=False, highlight=False, soft_wrap=True)

    def _picture(self) -> Group:
        facts = Table.grid(padding=(0, 2))
        for name, fact in self.facts.items():
            facts.add_row(Text(name, style="dim"), fact)
        lines = Table.grid(padding=(0, 1))
        for at, sentence in self.lines[-_LINES:]:
            style = next((colour for start, colour in _MARKS.items() if sentence.startswith(start)), "")
            lines.add_row(Text(f"{at:6.1f} s", style="dim"), Text(sentence, style=style, overflow="ellipsis", no_wrap=True))
        return Group(self._progress, Panel(facts, title="now", title_align="left"), Panel(lines, title="timeline", title_align="left"))
