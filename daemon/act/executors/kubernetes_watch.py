"""Objects of one kind as the API server has them, kept by a thread of its own: whoever asks never waits for the network.

List, then watch from the list's version on; bookmarks carry the version over quiet times; after 410 list anew.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from daemon.act.executors.kubernetes_api import Gone
from retrain.types import Permanent, Transient

if TYPE_CHECKING:
    from daemon.act.executors.kubernetes_api import Cluster
    from daemon.act.executors.kubernetes_status import Object

_WAIT_S, _WAIT_MOST_S = 0.5, 30.0


class Mirror:
    """`kind`: jobs | pods | events."""

    def __init__(self, cluster: Cluster, kind: str) -> None:
        self._cluster, self._kind = cluster, kind
        self._lock, self._stop = threading.Lock(), threading.Event()
        self._objects: dict[str, Object] = {}
        self._own: dict[str, float] = {}
        """Name -> when we put it there, for what a list that was on its way cannot know."""
        self._version: str | None = None
        self._is_complete = False
        self._failure: Transient | Permanent | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to follow; a second call changes nothing."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._follow, name=f"kubernetes-{self._kind}", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """Follow no longer. The thread ends by itself with its connection."""
        self._stop.set()

    def is_complete(self) -> bool:
        """Whether everything was listed once. `Transient` while the server cannot be asked: what is known may be old."""
        with self._lock:
            if self._failure is not None:
                raise Transient(self._failure.reason, self._failure.detail) from self._failure
            return self._is_complete

    def named(self, name: str) -> Object | None:
        """One object."""
        with self._lock:
            return self._objects.get(name)

    def all(self) -> list[Object]:
        """Every object."""
        with self._lock:
            return list(self._objects.values())

    def put(self, of: Object) -> None:
        """What the server has just told us outside of the watch."""
        with self._lock:
            self._objects[of["metadata"]["name"]] = of
            self._own[of["metadata"]["name"]] = time.monotonic()

    def _follow(self) -> None:
        failures = 0
        while not self._stop.is_set():
            try:
                if self._version is None:
                    self._list()
                for what, of in self._cluster.watched(self._kind, str(self._version)):
                    self._apply(what, of)
                    failures = 0
                    if self._stop.is_set():
                        return
                self._told(None)
            except Gone:
                self._version = None
            except (Transient, Permanent) as e:
                failures += 1
                if failures > 1 or self._version is None:  # that a long watch breaks off is no news
                    self._told(e)
                wait_s = e.retry_after_s if isinstance(e, Transient) and e.retry_after_s else _WAIT_S * 2.0 ** min(failures, 10)
                self._stop.wait(min(wait_s, _WAIT_MOST_S))
                self._version = None  # where the watch broke off may be long ago

    def _list(self) -> None:
        asked_at = time.monotonic()
        items, version = self._cluster.listed(self._kind)
        with self._lock:
            later = {name: self._objects[name] for name, at in self._own.items() if at >= asked_at and name in self._objects}
            self._objects = {of["metadata"]["name"]: of for of in items} | later
            self._own = {name: at for name, at in self._own.items() if name in later}
            self._version, self._is_complete, self._failure = version, True, None

    def _apply(self, what: str, of: Object) -> None:
        metadata = of["metadata"]
        with self._lock:
            self._version = str(metadata["resourceVersion"])
            if what == "DELETED":
                self._objects.pop(metadata["name"], None)
            elif what != "BOOKMARK":
                self._objects[metadata["name"]] = of

    def _told(self, failure: Transient | Permanent | None) -> None:
        with self._lock:
            self._failure = failure
