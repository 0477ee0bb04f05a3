"""A small API server over real HTTP, for what cannot be had here: it keeps Jobs, pods and events, speaks list, watch, bookmarks and 410,
checks what it is given against the published schema, and has its kubelet (`tests.fake_kubelet`) really run what pods are to run.

It behaves as the documentation says, no more: FailureTarget before Failed, pods that are deleted in the background, quota refusals that are
events on the Job. Faults are asked for by the test.
"""

from __future__ import annotations

import copy
import itertools
import json
import re
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import kubernetes_validate

from tests.fake_kubelet import Kubelet, now

Object = dict[str, Any]
NAMESPACE = "ml"
_API = re.compile(rf"^/(?:api/v1|apis/batch/v1)/namespaces/{NAMESPACE}/(jobs|pods|events)(?:/([^/]+))?(/log)?$")
_BOOKMARK_S = 0.3


@dataclass
class Fault:
    """The next `times` requests that match are answered so."""

    method: str
    path: str
    code: int
    message: str = "injected"
    headers: dict[str, str] = field(default_factory=dict)
    times: int = 1


class Refused(Exception):  # noqa: N818 (an answer)
    def __init__(self, code: int, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.headers = code, message, headers or {}


class FakeKubernetes:
    """The server's objects, their history, and the faults."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.token = "first-token"
        self.secrets: dict[str, dict[str, str]] = {}
        self.faults: list[Fault] = []
        self.requests: list[tuple[str, str]] = []
        self.objects: dict[tuple[str, str], Object] = {}
        self.lock = threading.Condition(threading.RLock())
        self._history: list[tuple[int, str, str, Object]] = []
        self._version = itertools.count(1000)
        self._kept_from = 0
        self._cuts = 0
        self.is_closed = False
        self.kubelet = Kubelet(self)

    # objects

    def put(self, kind: str, of: Object, what: str = "MODIFIED") -> None:
        with self.lock:
            version = next(self._version)
            of["metadata"]["resourceVersion"] = str(version)
            key = kind, of["metadata"]["name"]
            if what == "DELETED":
                self.objects.pop(key, None)
            else:
                self.objects[key] = of
            self._history.append((version, kind, what, copy.deepcopy(of)))
            self.lock.notify_all()

    def named(self, kind: str, name: str) -> Object:
        with self.lock:
            if (kind, name) not in self.objects:
                raise Refused(404, f'{kind} "{name}" not found')
            return self.objects[kind, name]

    def all(self, kind: str) -> list[Object]:
        with self.lock:
            return [copy.deepcopy(of) for (k, _), of in self.objects.items() if k == kind]

    def create_job(self, job: Object) -> Object:
        try:
            kubernetes_validate.validate(job, kubernetes_validate.latest_version(), strict=True)
        except kubernetes_validate.ValidationError as e:
            raise Refused(422, f"Job is invalid: {e}"[:300]) from e
        name = job["metadata"]["name"]
        with self.lock:
            if ("jobs", name) in self.objects:
                raise Refused(409, f'jobs.batch "{name}" already exists')
            job["metadata"] |= {"uid": f"uid-{next(self._version)}", "creationTimestamp": now()}
            job["status"] = {"startTime": now(), "active": 0}
            self.put("jobs", job, "ADDED")
        self.kubelet.start(name)
        return job

    def delete_job(self, name: str, options: Object) -> Object:
        if options.get("propagationPolicy") != "Background":
            raise Refused(422, "this test wants the pods gone with their Job")
        with self.lock:
            job = self.named("jobs", name)
            wanted = (options.get("preconditions") or {}).get("uid")
            if wanted not in {None, job["metadata"]["uid"]}:
                raise Refused(409, "the UID in the precondition does not match")
            self.put("jobs", job, "DELETED")
        return {"kind": "Status", "status": "Success"}

    # faults

    def expire(self) -> None:
        """Forget the history: whoever watches from an older version is told 410."""
        with self.lock:
            self._kept_from = next(self._version)
            self._cuts += 1
            self.lock.notify_all()

    def cut(self) -> None:
        """Break every watch off."""
        with self.lock:
            self._cuts += 1
            self.lock.notify_all()

    def fault(self, method: str, path: str) -> None:
        with self.lock:
            for fault in self.faults:
                if fault.times > 0 and fault.method == method and re.search(fault.path, path):
                    fault.times -= 1
                    raise Refused(fault.code, fault.message, fault.headers)

    # watching

    def version(self) -> str:
        with self.lock:
            return str(next(self._version))

    def changes(self, kind: str, since: int, *, deadline: float) -> Iterator[Object]:
        """What a watch says: changes, bookmarks in quiet times, 410 when the version is too old."""
        with self.lock:
            cuts = self._cuts
        while time.monotonic() < deadline and not self.is_closed:
            with self.lock:
                if not (fresh := self._after(kind, since)) and since >= self._kept_from:
                    self.lock.wait(_BOOKMARK_S)
                    fresh = self._after(kind, since)
                if since < self._kept_from:
                    yield {"type": "ERROR", "object": {"code": 410, "reason": "Expired", "message": f"too old resource version: {since}"}}
                    return
                if self._cuts != cuts:
                    return
                since = fresh[-1][0] if fresh else next(self._version)
            for _, what, of in fresh:
                yield {"type": what, "object": of}
            if not fresh:
                yield {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": str(since)}}}

    def _after(self, kind: str, since: int) -> list[tuple[int, str, Object]]:
        return [(version, what, of) for version, k, what, of in self._history if k == kind and version > since]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30
    fake: FakeKubernetes

    def do_GET(self) -> None:
        self._answer("GET")

    def do_POST(self) -> None:
        self._answer("POST")

    def do_DELETE(self) -> None:
        self._answer("DELETE")

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self, method: str) -> None:
        url = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(url.query).items()}
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
        verb = "WATCH" if query.get("watch", "").lower() == "true" else method
        try:
            with self.fake.lock:
                self.fake.requests.append((verb, url.path))
            self.fake.fault(verb, url.path)
            where = self._allowed(method, url.path)
            if verb == "WATCH":
                self._watch(where[1], query)
            elif where[3]:
                self._send(200, self.fake.kubelet.log(where[2], int(query["tailLines"])), "text/plain")
            else:
                self._send(200, json.dumps(self._result(method, where[1], where[2], query, body)).encode())
        except Refused as e:
            told = {"kind": "Status", "status": "Failure", "message": e.message, "code": e.code}
            self._send(e.code, json.dumps(told).encode(), headers=e.headers)

    def _allowed(self, method: str, path: str) -> re.Match[str]:
        if self.headers.get("Authorization") != f"Bearer {self.fake.token}":
            raise Refused(401, "Unauthorized")
        where = _API.match(path)
        if where is None:
            raise Refused(403, f"{method} {path} is forbidden")
        return where

    def _result(self, method: str, kind: str, name: str | None, query: dict[str, str], body: Object) -> Object:
        if method == "POST" and kind == "jobs":
            return self.fake.create_job(body)
        if method == "DELETE" and kind == "jobs" and name:
            return self.fake.delete_job(name, body)
        if method == "GET" and kind == "jobs" and name:
            return copy.deepcopy(self.fake.named("jobs", name))
        if method == "GET" and name is None:
            version = self.fake.version()
            return {
                "kind": "List",
                "metadata": {"resourceVersion": version},
                "items": [o for o in self.fake.all(kind) if _chosen(o, query)],
            }
        raise Refused(405, f"{method} {kind}")

    def _watch(self, kind: str, query: dict[str, str]) -> None:
        assert query["allowWatchBookmarks"].lower() == "true"
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        deadline = time.monotonic() + int(query["timeoutSeconds"])
        with suppress(OSError):
            for change in self.fake.changes(kind, int(query["resourceVersion"]), deadline=deadline):
                if change["type"] in {"ERROR", "BOOKMARK"} or _chosen(change["object"], query):
                    line = json.dumps(change).encode() + b"\n"
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
                    self.wfile.flush()
            self.wfile.write(b"0\r\n\r\n")

    def _send(self, code: int, data: bytes, kind: str = "application/json", headers: dict[str, str] | None = None) -> None:
        with suppress(OSError):
            self.send_response(code)
            for name, value in {"Content-Type": kind, "Content-Length": str(len(data)), **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)


def _chosen(of: Object, query: dict[str, str]) -> bool:
    labels = of["metadata"].get("labels", {})
    by_label = [term.split("=") for term in query.get("labelSelector", "").split(",") if term]
    by_field = [term.split("=") for term in query.get("fieldSelector", "").split(",") if term]
    fields = {"involvedObject.kind": of.get("involvedObject", {}).get("kind"), "reason": of.get("reason")}
    return all(labels.get(k) == v for k, v in by_label) and all(fields[k] == v for k, v in by_field)


@contextmanager
def cluster(folder: Path, *, identity: Path | None = None) -> Iterator[tuple[FakeKubernetes, str]]:
    """(the fake, its URL); at the end every process that it runs is killed. `identity`: PEM of key and certificate, for TLS."""
    fake = FakeKubernetes(folder)
    folder.mkdir(parents=True, exist_ok=True)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"fake": fake}))
    server.daemon_threads = True
    if identity is not None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(identity)
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield fake, f"{'http' if identity is None else 'https'}://127.0.0.1:{server.server_address[1]}"
    finally:
        fake.is_closed = True
        fake.cut()
        fake.kubelet.close()
        server.shutdown()
        server.server_close()
        thread.join(timeout=10)
