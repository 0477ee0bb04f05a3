"""What cannot work is refused before anything is installed, in words that name the value."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from daemon import service
from daemon.settings import Settings
from tests.charts import CHART, OPERATOR, refusal

CLAIM, S3, EVERYTHING = (CHART / "ci" / f"{name}.yaml" for name in ("jobs-claim", "jobs-s3", "everything"))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ("replicas=2", "at '/replicas': maximum: got 2, want 1"),
        ("nodeSelectors.disk=ssd", "additional properties 'nodeSelectors' not allowed"),
        ("persistence.sise=2Gi", "at '/persistence': additional properties 'sise' not allowed"),
        ("networkPolicy.clients=null", "at '/networkPolicy': missing property 'clients'"),
        ("config.http.host=127.0.0.1", "at '/config/http/host': value must be one of '0.0.0.0', '::'"),
        ("config.http.port=80", "at '/config/http/port': minimum: got 80, want 1,024"),
        ("config.data_dir=./data", "at '/config/data_dir': './data' does not match pattern '^/.+'"),
        ("config.models=null", "at '/config': missing property 'models'"),
        ("token.key=", "at '/token/key': '' does not match"),
        ("token=null", "missing property 'token'"),
        ("config.http.token=x", "config.http.token would be readable in the settings: put the token into a Secret"),
        ("config.ledger=postgresql://u:p@db/x", "config.ledger holds a password, which a ConfigMap shows to everyone: set configAsSecret"),
        ("config.notify.urls={slack://a/b/c}", "config.notify.urls hold secrets, which a ConfigMap shows to everyone: set configAsSecret"),
        ("terminationGracePeriodSeconds=20", "at '/terminationGracePeriodSeconds': minimum: got 20, want 30"),
        ("podDisruptionBudget.maxUnavailable=2", "at '/podDisruptionBudget/maxUnavailable': value must be one of 0, 1"),
        ("serviceAccount.create=false", "at '/serviceAccount/name': '' does not match"),
        ("image.digest=sha256:1", "at '/image/digest': 'sha256:1' does not match"),
        ("config.executor.kind=kubernetes", "at '/config': missing property 'registry'\n- at '/config/executor': missing property 'store'"),
        ("storeClaim.create=true", "at '/config': missing property 'executor'"),
        ("serviceMonitor.enabled=true", "need monitoring.coreos.com/v1, which this cluster does not know: install the Prometheus operator"),
    ],
)
def test_it_is_refused(changed: str, words: str) -> None:
    assert words in refusal("--set", changed)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (
            "config.registry.tracking_uri=sqlite:///x",
            "at '/config/registry/tracking_uri': 'sqlite:///x' does not match pattern '^https?://'",
        ),
        ("config.registry.tracking_uri=null", "at '/config/registry/tracking_uri': got null, want string"),
        ("config.executor.store.claim=null", "at '/config/executor/store/claim': got null, want string"),
        ("config.executor.store.mount=null", "at '/config/executor/store/mount': got null, want string"),
        ("config.executor.store.mount=store", "at '/config/executor/store/mount': 'store' does not match pattern '^/.+'"),
        ("config.executor.store.url=s3://x", "at '/config/executor/store': 'oneOf' failed, subschemas 0, 1 matched"),
        (
            "config.executor.namespace=training",
            "a claim belongs to one namespace, and the Jobs run in training while the service runs in mlops",
        ),
    ],
)
def test_jobs_without_what_they_share_with_the_service_are_refused(changed: str, words: str) -> None:
    assert words in refusal("--values", CLAIM, "--set", changed)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("labels: [no, yes]", "at '/config/models/0/labels/0': got boolean, want string"),
        (
            "columns: {on: category}",
            "config has a key that Helm reads as true or false (a bare on, off, yes, no, y or n): put it in quotes",
        ),
    ],
)
def test_words_that_yaml_takes_for_true_are_refused(model: str, words: str, tmp_path: Path) -> None:
    values = tmp_path / "values.yaml"
    values.write_text(f"config:\n  models:\n    - name: m\n      task: text-classification\n      {model}\n")
    assert words in refusal("--values", values)


def test_s3_needs_a_secret_or_an_identity_of_both_accounts() -> None:
    for half in ("serviceAccount", "trainingServiceAccount"):
        words = refusal("--values", S3, "--set", f"config.executor.env_from_secret=null,{half}.annotations.role=x")
        other = {"serviceAccount", "trainingServiceAccount"} - {half}
        assert "at '/config/executor/env_from_secret': got null, want string" in words
        assert f"at '/{other.pop()}/annotations': minProperties: got 0, want 1" in words


def test_what_is_scraped_must_let_prometheus_in() -> None:
    words = refusal("--values", EVERYTHING, *OPERATOR, "--set-json", "networkPolicy.prometheus=[]")
    assert "at '/networkPolicy/prometheus': minItems: got 0, want 1" in words


def test_every_address_that_is_accepted_can_be_listened_on() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    for host in schema["properties"]["config"]["properties"]["http"]["properties"]["host"]["enum"]:
        settings = Settings.model_validate({"http": {"host": host, "port": 0}, "models": [{"name": "m", "task": "text-generation"}]})
        with service._bound(settings) as listener, socket.create_connection(("127.0.0.1", listener.getsockname()[1]), timeout=10):
            pass
