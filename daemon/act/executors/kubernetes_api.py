"""The API server, as far as Jobs need it: every call with a timeout, every failure one of the two words. Nothing is retried here.

`kubernetes` (the official client) is imported with the first call.
"""

from __future__ import annotations

import contextlib
import json
import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daemon.act.executors.kubernetes_manifest import SELECTOR
from retrain.types import Permanent, Reason, Transient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from daemon.act.executors.kubernetes_status import Object
    from daemon.settings_executor import ExecutorSettings

RBAC: tuple[dict[str, list[str]], ...] = (
    {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create", "delete", "get", "list", "watch"]},
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "watch"]},
    {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
    {"apiGroups": [""], "resources": ["events"], "verbs": ["list", "watch"]},
)
"""What the service's account must be allowed to do, in the Jobs' namespace and nowhere else: every call below, no other."""
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_TIMEOUT_S = (5.0, 20.0)
"""To connect, to read."""
_WATCH_S = 300
"""The server ends a watch after this; it is taken up where it ended."""
_QUIET_S = 330.0
"""Nothing for so long, not even the end: the connection is dead."""
_LOG_LINES = 2_000
_LOG_BYTES = 4 << 20
_UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _CONFLICT, _GONE, _TOO_MANY, _SERVER = 401, 403, 404, 409, 410, 429, 500


class Gone(Exception):  # noqa: N818 (an answer, not a bug)
    """410: the version to go on from is no longer kept; list anew."""


class Cluster:
    """One namespace of one cluster. Safe to use from several threads."""

    def __init__(self, wanted: ExecutorSettings) -> None:
        self._wanted = wanted

    @cached_property
    def namespace(self) -> str:
        """Of the Jobs: as the settings say, or the service's own."""
        return self._wanted.namespace or _read(ACCOUNT / "namespace", "the namespace of the service's own pod")

    def create(self, manifest: Object) -> Object | None:
        """The new Job; None when one of that name exists."""
        try:
            return _body(self._call(self._batch.create_namespaced_job, body=manifest))
        except Permanent as e:
            if e.reason is Reason.CONFLICT:
                return None
            raise

    def job(self, name: str) -> Object | None:
        """A Job as the server has it now."""
        try:
            return _body(self._call(self._batch.read_namespaced_job, name=name))
        except Permanent as e:
            if e.reason is Reason.NOT_FOUND:
                return None
            raise

    def delete(self, name: str, *, uid: str | None = None) -> None:
        """Delete a Job and, by the cluster's garbage collector, its pods (an orphan would train on). Gone or another one: nothing."""
        options: dict[str, Any] = {"propagationPolicy": "Background"}
        if uid is not None:
            options["preconditions"] = {"uid": uid}
        try:
            self._call(self._batch.delete_namespaced_job, name=name, body=options)
        except Permanent as e:
            if e.reason not in {Reason.NOT_FOUND, Reason.CONFLICT}:
                raise

    def log(self, pod: str, *, most_bytes: int) -> str:
        """The end of a pod's output; empty before it has any."""
        try:
            answer = self._call(self._core.read_namespaced_pod_log, name=pod, tail_lines=_LOG_LINES, limit_bytes=_LOG_BYTES)
        except Permanent:  # not started, or gone
            return ""
        return bytes(answer.data)[-most_bytes:].decode(errors="replace")

    def listed(self, kind: str) -> tuple[list[Object], str]:
        """Jobs, pods or events of ours, and the version that they are of."""
        lister, selectors = self._lister(kind)
        body = _body(self._call(lister, **selectors))
        return body.get("items") or [], str(body["metadata"]["resourceVersion"])

    def watched(self, kind: str, version: str) -> Iterator[tuple[str, Object]]:
        """What happens after a version: (ADDED | MODIFIED | DELETED | BOOKMARK, object), until the server ends it. `Gone` on 410."""
        from kubernetes.watch import Watch  # noqa: PLC0415 (with the first call)

        lister, selectors = self._lister(kind)
        options = {"resource_version": version, "allow_watch_bookmarks": True, "timeout_seconds": _WATCH_S}
        watch: Any = Watch(return_type="object")
        events = watch.stream(lister, self.namespace, **selectors, **options, _request_timeout=(_TIMEOUT_S[0], _QUIET_S))
        with _failures(), contextlib.closing(events):
            for event in events:
                yield str(event["type"]), event["raw_object"]

    def close(self) -> None:
        """Let connections go."""
        if "_client" in self.__dict__:
            self._client.close()

    def _lister(self, kind: str) -> tuple[Callable[..., Any], dict[str, str]]:
        if kind == "jobs":
            return self._batch.list_namespaced_job, {"label_selector": SELECTOR}
        if kind == "pods":
            return self._core.list_namespaced_pod, {"label_selector": SELECTOR}
        return self._core.list_namespaced_event, {"field_selector": "involvedObject.kind=Job,reason=FailedCreate"}

    def _call(self, call: Callable[..., Any], **options: Any) -> Any:  # noqa: ANN401 (the client's own)
        """Raw answers: what a newer server adds is no error here."""
        with _failures():
            answer = call(namespace=self.namespace, _preload_content=False, _request_timeout=_TIMEOUT_S, **options)
            _check(answer)
            return answer

    @cached_property
    def _batch(self) -> Any:  # noqa: ANN401 (as above)
        from kubernetes.client import BatchV1Api  # noqa: PLC0415 (with the first call)

        return BatchV1Api(self._client)

    @cached_property
    def _core(self) -> Any:  # noqa: ANN401 (as above)
        from kubernetes.client import CoreV1Api  # noqa: PLC0415 (with the first call)

        return CoreV1Api(self._client)

    @cached_property
    def _client(self) -> Any:  # noqa: ANN401 (as above)
        from kubernetes.client import ApiClient, Configuration  # noqa: PLC0415 (with the first call)

        url, ca, token = self._access()
        config: Any = Configuration(host=url, retries=False)  # by default urllib3 sleeps through Retry-After, in the ticking thread
        config.ssl_ca_cert = str(ca) if ca is not None else None
        if token is not None:

            def renew(of: Any) -> None:  # noqa: ANN401 (as above)
                of.api_key["BearerToken"] = f"Bearer {_read(token, 'the token')}"

            renew(config)
            config.refresh_api_key_hook = renew
        return ApiClient(config)

    def _access(self) -> tuple[str, Path | None, Path | None]:
        """(URL, CA, token): by the settings, or as every pod is told."""
        if self._wanted.api_url is not None:
            return self._wanted.api_url.rstrip("/"), self._wanted.ca_file, self._wanted.token_file
        host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT")
        if not host or not port:
            raise Permanent(Reason.REFUSED, "this is no pod of a cluster (no KUBERNETES_SERVICE_HOST): set executor.api_url")
        host = f"[{host}]" if ":" in host else host
        return f"https://{host}:{port}", ACCOUNT / "ca.crt", ACCOUNT / "token"


def _read(path: Path, what: str) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as e:
        raise Transient(Reason.UNAVAILABLE, f"cannot read {what}: {path}: {e.strerror}") from e


def _body(answer: Any) -> Object:  # noqa: ANN401 (as above)
    body: Object = json.loads(answer.data)
    return body


def _check(answer: Any) -> None:  # noqa: ANN401 (as above)
    from kubernetes.client import ApiException  # noqa: PLC0415 (with the first call)

    if not 200 <= answer.status < 300:  # noqa: PLR2004 (HTTP)
        raise ApiException(http_resp=answer)


@contextlib.contextmanager
def _failures() -> Iterator[None]:
    """Whatever the client raises becomes one of the two words."""
    from kubernetes.client import ApiException  # noqa: PLC0415 (with the first call)
    from urllib3 import exceptions  # noqa: PLC0415

    try:
        yield
    except ApiException as e:
        raise failure(int(e.status or 0), _told(e), _retry_after(e)) from e
    except (exceptions.TimeoutError, TimeoutError) as e:
        raise Transient(Reason.TIMEOUT, f"the API server: {e}"[:500]) from e
    except (exceptions.HTTPError, OSError, ValueError) as e:  # ValueError: an answer that is no JSON
        raise Transient(Reason.UNAVAILABLE, f"the API server: {e}"[:500]) from e


def failure(code: int, message: str, retry_after_s: float | None) -> Exception:
    """What an answer of the API server means for whoever asked."""
    told = f"the API server says {code}: {message}"[:500]
    if code == _GONE:
        return Gone(told)
    if code == _FORBIDDEN and "exceeded quota" in message:
        return Transient(Reason.QUOTA, told, retry_after_s=retry_after_s or 60.0)
    if code in {0, _UNAUTHORIZED, _TOO_MANY} or code >= _SERVER:  # 401: the token is being rotated
        return Transient(Reason.UNAVAILABLE, told, retry_after_s=retry_after_s)
    return Permanent({_NOT_FOUND: Reason.NOT_FOUND, _CONFLICT: Reason.CONFLICT}.get(code, Reason.REFUSED), told)


def _told(e: Any) -> str:  # noqa: ANN401 (as above)
    """The server's own sentence."""
    try:
        return str(json.loads(e.body)["message"])
    except (TypeError, ValueError, KeyError):
        return str(e.reason or e.body or "")[:300]


def _retry_after(e: Any) -> float | None:  # noqa: ANN401 (as above)
    try:
        return min(300.0, float(e.headers["Retry-After"]))
    except (TypeError, ValueError, KeyError):
        return None
