"""What every route of the pages has at hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from daemon.show.pages.access import Access, Refused
from daemon.show.pages.render import Pages, go
from daemon.show.pages.sessions import Sessions
from retrain.types import Permanent, Reason, Transient

if TYPE_CHECKING:
    from fastapi import Request
    from fastapi.responses import Response

    from daemon.settings import Settings
    from daemon.show.operations import Done, Operations
    from daemon.show.views import ModelView
    from daemon.store.ledger import Ledger


@dataclass(frozen=True, kw_only=True)
class Desk:
    """Built once."""

    operations: Operations
    settings: Settings
    ledger: Ledger
    access: Access
    sessions: Sessions
    pages: Pages
    now: Callable[[], float]

    def page(self, request: Request, name: str, *, status: int = 200, **shown: object) -> Response:
        """A template, with what all of them show."""
        said = self.sessions.said(request.query_params.get("said"))
        health = self.operations.snapshot().health
        common = {"said": said, "now": self.now(), "path": request.url.path, "health": health}
        return self.pages.answer(name, self.access.visitor(request), status=status, **common, **shown)

    def sentence(self, request: Request, refused: Refused) -> Response:
        """A page that says why not."""
        title = "Not found" if refused.status == 404 else "Not done"  # noqa: PLR2004 (HTTP's)
        return self.page(request, "sentence.html", status=refused.status, title=title, sentence=refused.because)

    def model(self, name: str) -> ModelView:
        """`Refused(404)` when the settings have no such."""
        found = self.operations.snapshot().model(name)
        if found is None:
            raise Refused(404, f"The settings have no model {name[:64]!r}.")
        return found

    def do(self, act: Callable[[], Done], back: str) -> Response:
        """Carry out an operation and go to a page that says what was done; `Refused` says why it cannot be."""
        try:
            done = act()
        except Permanent as e:
            status = 404 if e.reason is Reason.NOT_FOUND else 409
            raise Refused(status, f"Nothing was done: {e.detail or e.reason}.") from None
        except Transient as e:
            raise Refused(503, f"Nothing was done; try again in a moment: {e.detail or e.reason}.") from None
        return go(back, self.sessions.say(f"Done: {done.what}."))
