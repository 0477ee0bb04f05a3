"""The chart and the executor of Jobs agree: rights, labels, claims, accounts, images."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

from daemon.act.executors import kubernetes_api, kubernetes_manifest
from daemon.act.executors.port import JobSpec
from tests.charts import CHART, kustomize, rendered

WATCH, CLAIM, S3, EVERYTHING = (CHART / "ci" / f"{name}.yaml" for name in ("watch", "jobs-claim", "jobs-s3", "everything"))
KUBERNETES = ("1.34", "1.35", "1.36")
_VERBS = {"create": "create", "read": "get", "delete": "delete", "list": "list"}

with_jobs = pytest.mark.parametrize("values", [CLAIM, S3, EVERYTHING], ids=lambda file: file.stem)


def test_the_role_allows_what_the_executor_calls_and_nothing_else() -> None:
    code = Path(kubernetes_api.__file__).read_text()
    called: dict[str, set[str]] = {}
    for verb, resource in re.findall(r"\b([a-z]+)_namespaced_(\w+)", code):
        called.setdefault({"pod_log": "pods/log"}.get(resource, f"{resource}s"), set()).add(_VERBS[verb])
    for watched in (resource for resource, verbs in called.items() if "list" in verbs):
        called[watched].add("watch")  # by `watched`, which takes the same listers
    for granted in (list(kubernetes_api.RBAC), rendered(CLAIM).one("Role")["rules"], kustomize("overlays/jobs").one("Role")["rules"]):
        assert {resource: set(rule["verbs"]) for rule in granted for resource in rule["resources"]} == called
        assert granted == list(kubernetes_api.RBAC)


@with_jobs
def test_a_job_finds_the_account_and_the_claim_that_the_chart_makes(values: Path, tmp_path: Path) -> None:
    found = rendered(values)
    job = _job(values, tmp_path)
    pod = job["spec"]["template"]["spec"]
    assert found.one("ServiceAccount", pod["serviceAccountName"])["automountServiceAccountToken"] is False
    (binding,) = found.all("RoleBinding")
    assert [s["name"] for s in binding["subjects"]] == [found.pod["serviceAccountName"]] != [pod["serviceAccountName"]]
    assert binding["roleRef"]["name"] == found.one("Role")["metadata"]["name"]
    assert found.one("Role")["metadata"].get("namespace") == job["metadata"]["namespace"]
    claims = [v["persistentVolumeClaim"]["claimName"] for v in pod["volumes"] if "persistentVolumeClaim" in v]
    assert claims == (["retuned-store"] if values == CLAIM else [])
    assert all(found.one("PersistentVolumeClaim", claim)["spec"]["accessModes"] == ["ReadWriteMany"] for claim in claims)


@with_jobs
def test_a_job_runs_the_training_image(values: Path, tmp_path: Path) -> None:
    pod = _job(values, tmp_path)["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    is_all = values == EVERYTHING
    assert container["image"] == ("registry.example.com/retuned-training:0.1.0-cpu" if is_all else "retuned-training:0.1.0")
    assert pod.get("imagePullSecrets") == ([{"name": "registry"}] if is_all else None)


def test_the_service_reads_s3_with_the_jobs_own_secret(tmp_path: Path) -> None:
    (container,) = _job(S3, tmp_path)["spec"]["template"]["spec"]["containers"]
    assert rendered(S3).container["envFrom"] == container["envFrom"] == [{"secretRef": {"name": "retuned-s3"}}]
    assert "envFrom" not in rendered(CLAIM).container


@with_jobs
def test_the_network_policy_of_jobs_lets_nobody_in_and_out_to_the_store_alone(values: Path, tmp_path: Path) -> None:
    policy = rendered(values).one("NetworkPolicy", "prod-retuned-training")["spec"]
    job = _job(values, tmp_path)
    assert policy["podSelector"]["matchLabels"] == job["spec"]["template"]["metadata"]["labels"] == kubernetes_manifest.LABELS
    assert policy["ingress"] == []
    expected = {CLAIM: [53, 53], S3: [53, 53, 9000], EVERYTHING: [53, 53, 443, 443]}[values]
    assert [port["port"] for rule in policy["egress"] for port in rule["ports"]] == expected


def test_no_selector_of_the_service_finds_a_job() -> None:
    found = rendered(CLAIM)
    for selector in (found.one("Deployment")["spec"]["selector"]["matchLabels"], found.one("Service")["spec"]["selector"]):
        assert not selector.items() <= kubernetes_manifest.LABELS.items()
    assert [p["metadata"]["name"] for p in rendered(WATCH).all("NetworkPolicy")] == ["prod-retuned", "prod-retuned-ready"]


@pytest.mark.parametrize("version", KUBERNETES)
def test_the_jobs_are_valid_in_this_kubernetes(version: str, tmp_path: Path) -> None:
    for values in (CLAIM, S3, EVERYTHING):
        assert kubernetes_validate.validate(_job(values, tmp_path), version, strict=True) == version


def _job(values: Path, folder: Path) -> dict[str, Any]:
    """The Job that the service would make of the settings that the chart gives it."""
    wanted = rendered(values).settings(folder).executor
    spec = JobSpec(key="r1.training", command=("true",), folder=folder, workspace=folder)
    return kubernetes_manifest.manifest(spec, wanted, namespace="mlops", prefix="runs/r1")
