"""Templates to answers: everything escaped, nothing cached, nothing from elsewhere, never inside another page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from daemon.show.pages import draw, picks, words

if TYPE_CHECKING:
    from daemon.show.pages.access import Visitor

HERE = Path(__file__).parent

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; frame-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # no-referrer would send `Origin: null` with our own forms
    "Cache-Control": "no-store",
}


_TURNS = dict.fromkeys(map(ord, "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"))


def _straight(value: object) -> object:
    """Without what turns the direction of writing: a version or a value that holds it would turn the words beside it."""
    return value.translate(_TURNS) if isinstance(value, str) and not value.isascii() else value


class Pages:
    """The environment, built once."""

    def __init__(self, version: str) -> None:
        self._jinja = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            finalize=_straight,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._jinja.filters |= words.FILTERS | picks.FILTERS
        self._jinja.globals |= {"service_version": version, "drawing": draw, "MOST_ALARMS": picks.MOST_ALARMS}

    def answer(self, name: str, visitor: Visitor, *, status: int = 200, **shown: Any) -> HTMLResponse:  # noqa: ANN401 (what a template shows)
        """A page."""
        html = self._jinja.get_template(name).render(visitor=visitor, root=visitor.root, **shown)
        return HTMLResponse(html, status, headers=HEADERS)


def go(path: str, said: str | None = None) -> RedirectResponse:
    """To a page of ours, by GET. `said`: key of a sentence that it shows once."""
    assert path.startswith("/")
    assert not path.startswith("//")
    return RedirectResponse(path if said is None else f"{path}?said={said}", 303, headers=HEADERS)
