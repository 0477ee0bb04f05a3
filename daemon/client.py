"""The command line's side of the API: one sentence when something is wrong, never a traceback."""

from __future__ import annotations

import getpass
import json
import os
from typing import TYPE_CHECKING, Any, NoReturn

import httpx
import typer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from daemon.settings import Settings

FAILED = 1
"""Exit code when the service is not there, or refuses."""

_TIMEOUT_S = 30.0


def find_service(settings: Settings | None) -> str:
    """Where the service of these settings listens: what it wrote into its data folder, else the settings' own host and port."""
    if settings is None:
        return "http://127.0.0.1:8420"
    try:
        url = json.loads((settings.data_dir / "service.json").read_text())["url"]
    except (OSError, ValueError, KeyError, TypeError):
        host = "127.0.0.1" if settings.http.host in ("0.0.0.0", "::") else settings.http.host  # noqa: S104 (compared, not bound)
        url = f"http://{f'[{host}]' if ':' in host else host}:{settings.http.port}"
    return str(url)


class Client:
    """Talks to a running service; the token comes from RETUNED_TOKEN. Ends the command with a sentence when it cannot."""

    def __init__(self, url: str) -> None:
        token = os.environ.get("RETUNED_TOKEN")
        self.url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def models(self) -> list[dict[str, Any]]:
        """All models, short."""
        found: list[dict[str, Any]] = self._call("GET", "/v1/models")["models"]
        return found

    def names(self, only: str | None) -> list[str]:
        """All of them, or the one that was asked for."""
        return [only] if only is not None else [str(m["name"]) for m in self.models()]

    def model(self, name: str) -> dict[str, Any]:
        """All about one."""
        found: dict[str, Any] = self._call("GET", f"/v1/models/{_part(name)}")
        return found

    def label_plan(self, name: str, n: int) -> dict[str, Any]:
        """Records of a model that are worth a label."""
        found: dict[str, Any] = self._call("GET", f"/v1/models/{_part(name)}/label-plan?n={n}")
        return found

    def ask(self, name: str, what: str, *, by: str | None, because: str, **more: str | bool | None) -> str:
        """An operation on a model; the sentence that says what was done."""
        return self._say(f"/v1/models/{_part(name)}/{what}", by, because, more)

    def say(self, incident: str, what: str, *, by: str | None, because: str, **more: str | bool | None) -> str:
        """The same of an incident."""
        return self._say(f"/v1/incidents/{_part(incident)}/{what}", by, because, more)

    def _say(self, path: str, by: str | None, because: str, more: Mapping[str, str | bool | None]) -> str:
        body = {"by": by or getpass.getuser(), "because": because, **{k: v for k, v in more.items() if v is not None}}
        return str(self._call("POST", path, body)["what"])

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:  # noqa: ANN401 (JSON)
        try:
            # trust_env=False: a proxy of the environment must not see the token, nor stand between this machine and itself
            with httpx.Client(base_url=self.url, headers=self._headers, timeout=_TIMEOUT_S, trust_env=False) as http:
                answer = http.request(method, path, json=body)
                if answer.is_success:
                    return answer.json()
                _end(_detail(answer))
        except httpx.ReadTimeout:
            said = "" if method == "GET" else "; whether it was done is not known: look at `retuned status` before you ask again"
            _end(f"the service at {self.url} did not answer within {_TIMEOUT_S:g} s{said}")
        except (httpx.HTTPError, httpx.InvalidURL) as e:
            _end(f"no service answers at {self.url} ({e}); start it with `retuned serve`, or give --url")
        except ValueError:
            _end(f"what answers at {self.url} is no retuned service; give --url")


def _detail(answer: httpx.Response) -> str:
    """What the service said, in one line."""
    try:
        detail = answer.json()["detail"]
    except (ValueError, KeyError, TypeError):
        return f"the service answered {answer.status_code}"
    if isinstance(detail, list):  # a request that does not fit: where and why
        return "; ".join(f"{'.'.join(str(p) for p in e.get('loc', ())[1:])}: {e.get('msg', '')}" for e in detail)
    return str(detail)


def _part(name: str) -> str:
    """A model's name, or an incident's id, as one part of a path."""
    if not name or any(c in name for c in "/?#%\\") or name in (".", ".."):
        _end(f"{name!r} is no name of a model or an incident")
    return name


def _end(sentence: str) -> NoReturn:
    typer.echo(f"retuned: {sentence}", err=True)
    raise typer.Exit(FAILED)
