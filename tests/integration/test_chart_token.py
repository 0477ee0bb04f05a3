"""The generated token: made once, found again by every upgrade. Helm looks it up at an API server that answers for real what it asks."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.charts import CHART, Object, helm, parsed, rendered

_SECRET = "/api/v1/namespaces/mlops/secrets/prod-retuned-token"
_MISSING = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404, "message": "not found"}


def _discovery() -> Object:
    """What a server says of itself that knows the kinds of this chart."""
    kinds = {(o["apiVersion"], o["kind"]) for o in rendered().objects}
    versions = sorted({version for version, _ in kinds} - {"v1"})
    groups = [{"name": v.split("/")[0], "versions": [{"groupVersion": v, "version": v.split("/")[1]}]} for v in versions]
    found: Object = {
        "/version": {"major": "1", "minor": "36", "gitVersion": "v1.36.0"},
        "/api": {"kind": "APIVersions", "versions": ["v1"]},
        "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups},
    }
    for version in ("v1", *versions):
        resources = [{"name": f"{k.lower()}s", "namespaced": True, "kind": k, "verbs": ["get"]} for v, k in kinds if v == version]
        found["/api/v1" if version == "v1" else f"/apis/{version}"] = {
            "kind": "APIResourceList",
            "groupVersion": version,
            "resources": resources,
        }
    return found


@contextmanager
def _cluster(secret: Object | None) -> Iterator[str]:
    """URL of an API server that has one Secret or none."""
    known = {**_discovery(), **({_SECRET: secret} if secret else {})}

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = known.get(self.path.split("?")[0])
            body = json.dumps(found or _MISSING).encode()
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def _rendered(url: str) -> Object:
    asked = ("--namespace", "mlops", "--dry-run=server", "--kube-apiserver", url, "--disable-openapi-validation")
    return parsed(helm("template", "prod", CHART, *asked, "--show-only", "templates/token.yaml")).one("Secret")


def test_an_upgrade_keeps_the_token_that_the_install_made() -> None:
    with _cluster(None) as url:
        made, other = _rendered(url), _rendered(url)
    token = base64.b64decode(made["data"]["token"]).decode()
    assert len(token) == 48
    assert token.isalnum()
    assert made["data"] != other["data"]
    assert made["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    owned = {"meta.helm.sh/release-name": "prod", "meta.helm.sh/release-namespace": "mlops"}  # as helm itself marks what it made
    metadata = {**made["metadata"], "namespace": "mlops", "annotations": {**made["metadata"]["annotations"], **owned}}
    with _cluster({**made, "metadata": metadata}) as url:
        assert _rendered(url) == made
