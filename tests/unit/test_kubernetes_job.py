"""The Job's manifest against the published schemas, and what its status means."""

from __future__ import annotations

import json
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

from daemon.act.executors.kubernetes_manifest import job_name, manifest
from daemon.act.executors.kubernetes_status import HUNG_S, moment, status
from daemon.act.executors.port import JobSpec, JobState
from daemon.settings_executor import ExecutorSettings
from retrain.types import Permanent, Reason

ROOT = Path("/var/lib/retuned/runs/m/20260101T000000-ab12")
SPEC = JobSpec(
    key="20260101T000000-ab12.training-0",
    command=(sys.executable, "-P", "-m", "retrain", "train", f"{ROOT}/plan.json"),
    folder=ROOT / "jobs",
    workspace=ROOT,
    deadline_s=3600.0,
)
BASE = {"kind": "kubernetes", "image": "registry.example/training:1", "store": {"claim": "shared", "mount": "/srv/shared"}}
ALL = {
    **BASE,
    "store": {"url": "s3://models/retuned", "endpoint": "http://s3:9000", "region": "eu-1"},
    "service_account": "trainer",
    "env_from_secret": "s3",
    "image_pull_secret": "pull",
    "resources": {"cpu": "1500m", "gpu": 1},
    "node_selector": {"pool": "gpu"},
    "tolerations": [{"key": "spot", "operator": "Equal", "value": "true", "effect": "NoSchedule"}],
}


def made(settings: dict[str, Any]) -> dict[str, Any]:
    wanted = ExecutorSettings.model_validate(settings)
    return json.loads(json.dumps(manifest(SPEC, wanted, namespace="ml", prefix="runs/m/20260101T000000-ab12")))  # type: ignore[no-any-return]  # JSON


@pytest.mark.parametrize("version", ["1.34", "1.35", "1.36"])
@pytest.mark.parametrize("settings", [BASE, ALL], ids=["claim", "everything"])
def test_the_job_is_valid_in_three_versions_of_kubernetes(settings: dict[str, Any], version: str) -> None:
    kubernetes_validate.validate(made(settings), version, strict=True)


def test_a_job_is_one_pod_that_nobody_replaces_and_that_may_do_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.getuid", lambda: 10001)
    monkeypatch.setattr("os.getgid", lambda: 10001)
    job = made(BASE)["spec"]
    pod = job["template"]["spec"]
    (container,) = pod["containers"]
    assert (job["backoffLimit"], job["podReplacementPolicy"], pod["restartPolicy"]) == (0, "Failed", "Never")
    assert job["podFailurePolicy"]["rules"][0]["onPodConditions"] == [{"type": "DisruptionTarget", "status": "True"}]
    assert (job["activeDeadlineSeconds"], pod["terminationGracePeriodSeconds"]) == (3600, 30)
    assert pod["automountServiceAccountToken"] is False
    assert (pod["securityContext"]["runAsNonRoot"], pod["securityContext"]["runAsUser"]) == (True, 10001)
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["resources"]["requests"] == container["resources"]["limits"]
    mounts = {m["mountPath"] for m in container["volumeMounts"]}
    assert mounts == {str(ROOT), "/tmp", "/srv/shared"}


def test_all_that_the_settings_ask_for_is_in_the_job_and_no_secret() -> None:
    pod = made(ALL)["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    command = " ".join(container["command"])
    assert command.startswith("python -P -m retrain.away --store s3://models/retuned --endpoint http://s3:9000 --region eu-1")
    assert command.endswith(f"-- python -P -m retrain train {ROOT}/plan.json")
    assert {e["name"]: e["value"] for e in container["env"]}["OMP_NUM_THREADS"] == "2"
    assert container["envFrom"] == [{"secretRef": {"name": "s3"}}]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert (pod["serviceAccountName"], pod["nodeSelector"]) == ("trainer", {"pool": "gpu"})
    assert pod["tolerations"] == ALL["tolerations"]


def test_names_are_labels_of_dns_and_differ_as_keys_do() -> None:
    keys = ["a", "A", "a.b", "a-b", "x" * 128, "x" * 127 + "y", "Run_1.training-0", "0" * 40 + "." * 5]
    names = [job_name(key) for key in keys]
    assert len(set(names)) == len(keys)
    assert all(re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])", name) for name in names)
    assert [job_name(key) for key in keys] == names
    with pytest.raises(Permanent):
        job_name("a/b")


NOW = moment("2026-01-01T00:10:00Z")


def condition(kind: str, reason: str = "", message: str = "") -> dict[str, Any]:
    return {"type": kind, "status": "True", "reason": reason, "message": message, "lastTransitionTime": "2026-01-01T00:05:00Z"}


def a_job(*conditions: dict[str, Any], suspend: bool = False) -> dict[str, Any]:
    told = {"startTime": "2026-01-01T00:00:00Z", "conditions": list(conditions)}
    return {"metadata": {"name": "j"}, "spec": {"suspend": suspend}, "status": told}


def a_pod(phase: str = "Failed", *, state: dict[str, Any] | None = None, gone_s: float | None = None, **told: Any) -> dict[str, Any]:
    metadata = {"name": "p", "creationTimestamp": "2026-01-01T00:00:00Z"}
    if gone_s is not None:
        metadata["deletionTimestamp"] = datetime.fromtimestamp(NOW - gone_s, UTC).isoformat()
    sidecar = {"name": "mesh", "state": {"running": {}}}
    containers = [sidecar, {"name": "job", "state": state}] if state else []
    return {"metadata": metadata, "status": {"phase": phase, "containerStatuses": containers, **told}}


def terminated(code: int, reason: str = "Error") -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "reason": reason, "startedAt": "2026-01-01T00:01:00Z", "finishedAt": "2026-01-01T00:03:00Z"}}


FAILED = a_job(condition("FailureTarget"), condition("Failed", "BackoffLimitExceeded"))
DISRUPTED = a_job(condition("Failed", "PodFailurePolicy", "Pod ml/p has condition DisruptionTarget matching FailJob rule at index 0"))


@pytest.mark.parametrize(
    ("job", "pods", "state", "code", "reason", "says"),
    [
        (None, [], JobState.LOST, None, None, "gone from the cluster"),
        (a_job(condition("Complete")), [a_pod("Succeeded", state=terminated(0))], JobState.DONE, 0, None, ""),
        (a_job(condition("Complete")), [], JobState.DONE, 0, None, ""),
        (FAILED, [a_pod(state=terminated(65))], JobState.DONE, 65, None, ""),
        (FAILED, [a_pod(state=terminated(139))], JobState.DONE, -11, None, ""),
        (FAILED, [a_pod(state=terminated(137, "OOMKilled"))], JobState.DONE, -9, Reason.OUT_OF_MEMORY, "resources.memory"),
        (FAILED, [a_pod(state=terminated(128, "StartError"))], JobState.DONE, 128, Reason.IMAGE, "StartError"),
        (FAILED, [a_pod(reason="Evicted", message="low on memory")], JobState.DONE, None, Reason.PREEMPTED, "low on memory"),
        (FAILED, [a_pod(reason="NodeLost")], JobState.LOST, None, None, "the node is gone"),
        (FAILED, [], JobState.LOST, None, None, "its pod is gone"),
        (DISRUPTED, [], JobState.DONE, None, Reason.PREEMPTED, "DisruptionTarget"),
        (
            DISRUPTED,
            [a_pod(conditions=[condition("DisruptionTarget", "TerminationByKubelet", "shutdown")])],
            JobState.DONE,
            None,
            Reason.PREEMPTED,
            "TerminationByKubelet: shutdown",
        ),
        (DISRUPTED, [a_pod(conditions=[condition("DisruptionTarget", "DeletionByPodGC")])], JobState.LOST, None, None, "node is gone"),
        (a_job(), [], JobState.RUNNING, None, Reason.UNSCHEDULABLE, "made no pod yet"),
        (a_job(suspend=True), [], JobState.RUNNING, None, Reason.UNSCHEDULABLE, "suspended"),
        (a_job(), [a_pod("Running", state={"running": {}})], JobState.RUNNING, None, None, ""),
        (a_job(), [a_pod("Running", gone_s=HUNG_S - 5.0)], JobState.RUNNING, None, None, ""),
        (a_job(), [a_pod("Running", gone_s=HUNG_S + 5.0)], JobState.LOST, None, None, "does not answer"),
    ],
)
def test_what_the_cluster_says_becomes_a_status_that_a_person_can_read(
    *, job: dict[str, Any] | None, pods: list[dict[str, Any]], state: JobState, code: int | None, reason: Reason | None, says: str
) -> None:
    found = status(job, pods, [], now=NOW, is_final=True)
    assert found is not None
    assert (found.state, found.code, found.reason) == (state, code, reason)
    assert says in found.because


def test_a_failure_waits_for_the_pods_own_word() -> None:
    assert status(FAILED, [a_pod("Running", state={"running": {}})], [], now=NOW) is None
    assert status(FAILED, [], [], now=NOW) is None


def test_seconds_are_the_containers_where_it_tells_them() -> None:
    own = status(FAILED, [a_pod(state=terminated(1))], [], now=NOW)
    jobs = status(a_job(condition("Failed", "DeadlineExceeded")), [], [], now=NOW)
    assert own is not None
    assert jobs is not None
    assert (own.seconds, jobs.seconds, jobs.stopped) == (120.0, 300.0, "deadline")


def test_the_newest_refusal_of_the_cluster_is_told() -> None:
    events = [
        {"reason": "FailedCreate", "metadata": {}, "lastTimestamp": f"2026-01-01T00:0{i}:00Z", "message": f"exceeded quota {i}"}
        for i in (2, 1)
    ]
    found = status(a_job(), [], events, now=NOW)
    assert found is not None
    assert (found.reason, found.because) == (Reason.QUOTA, "exceeded quota 2")
