"""A job of ours as a `batch/v1` Job: one pod, never replaced by the cluster, of restricted security, with a scratch volume of its own."""

from __future__ import annotations

import hashlib
import math
import os
import re
import sys
from typing import TYPE_CHECKING, Any

from daemon.act.executors.port import sound

if TYPE_CHECKING:
    from collections.abc import Mapping

    from daemon.act.executors.port import JobSpec
    from daemon.settings_executor import ExecutorSettings

LABELS = {
    "app.kubernetes.io/name": "retuned",
    "app.kubernetes.io/component": "training",
    "app.kubernetes.io/managed-by": "retuned",
}
"""Of Jobs and their pods; a NetworkPolicy may select by them."""
SELECTOR = ",".join(f"{name}={value}" for name, value in LABELS.items())
KEY = "retuned/key"
"""Annotation: the job's idempotency key."""
CONTAINER = "job"
_SLUG_CHARS = 40
_CORES = {"m": 1e-3, "k": 1e3}


def job_name(key: str) -> str:
    """The Job's name, from the key alone: a DNS label of at most 63 characters, other keys have other names."""
    slug = re.sub(r"[^a-z0-9]+", "-", sound(key).lower())[:_SLUG_CHARS].strip("-")
    return f"retuned-{slug}-{hashlib.blake2b(key.encode(), digest_size=5).hexdigest()}"


def manifest(spec: JobSpec, wanted: ExecutorSettings, *, namespace: str, prefix: str) -> dict[str, Any]:
    """The Job. `prefix`: the run's place in the store.

    `backoffLimit: 0` and FailJob on every disruption: each attempt is one pod under a key of its own, and when to try again is decided by
    cause (`daemon.decide.retry`). `podReplacementPolicy: Failed`: never two pods at a time.
    """
    metadata = {"name": job_name(spec.key), "namespace": namespace, "labels": LABELS, "annotations": {KEY: spec.key}}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata,
        "spec": {
            "parallelism": 1,
            "completions": 1,
            "backoffLimit": 0,
            "activeDeadlineSeconds": math.ceil(spec.deadline_s),
            "ttlSecondsAfterFinished": wanted.ttl_s,
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": {"rules": [{"action": "FailJob", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]},
            "template": {"metadata": {"labels": LABELS, "annotations": {KEY: spec.key}}, "spec": _pod(spec, wanted, prefix)},
        },
    }


def _pod(spec: JobSpec, wanted: ExecutorSettings, prefix: str) -> dict[str, Any]:
    assert spec.workspace is not None
    scratch = str(spec.workspace.resolve())
    volumes: list[dict[str, Any]] = [{"name": name, "emptyDir": {"sizeLimit": wanted.resources.disk}} for name in ("scratch", "tmp")]
    mounts = [{"name": "scratch", "mountPath": scratch}, {"name": "tmp", "mountPath": "/tmp"}]  # noqa: S108 (the pod's own)
    if wanted.store.claim is not None:
        volumes.append({"name": "store", "persistentVolumeClaim": {"claimName": wanted.store.claim}})
        mounts.append({"name": "store", "mountPath": str(wanted.store.mount)})
    pod: dict[str, Any] = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": math.ceil(spec.grace_s),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}, **_user()},
        "containers": [_container(spec, wanted, _command(spec, wanted, prefix, scratch), mounts)],
        "volumes": volumes,
    }
    optional = {
        "serviceAccountName": wanted.service_account,
        "imagePullSecrets": [{"name": wanted.image_pull_secret}] if wanted.image_pull_secret else None,
        "nodeSelector": wanted.node_selector,
        "tolerations": [toleration.model_dump(exclude_none=True) for toleration in wanted.tolerations],
    }
    return pod | {name: value for name, value in optional.items() if value}


def _container(spec: JobSpec, wanted: ExecutorSettings, command: list[str], mounts: list[dict[str, str]]) -> dict[str, Any]:
    resources = wanted.resources
    amounts = {"cpu": resources.cpu, "memory": resources.memory, "ephemeral-storage": resources.disk}
    amounts |= {"nvidia.com/gpu": str(resources.gpu)} if resources.gpu else {}
    container: dict[str, Any] = {
        "name": CONTAINER,
        "image": wanted.image,
        "command": [word.replace("$(", "$$(") for word in command],  # no word is a variable of Kubernetes
        "env": [{"name": name, "value": value} for name, value in sorted(_environment(spec, resources.cpu).items())],
        "resources": {"requests": amounts, "limits": amounts},
        "securityContext": {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": mounts,
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    if wanted.env_from_secret is not None:
        container["envFrom"] = [{"secretRef": {"name": wanted.env_from_secret}}]
    return container


def _command(spec: JobSpec, wanted: ExecutorSettings, prefix: str, scratch: str) -> list[str]:
    """The command, wrapped by what carries its files; this machine's interpreter is the image's `python` there."""
    store = wanted.store
    where = ["--store", store.url or str(store.mount)]
    where += ["--endpoint", store.endpoint] if store.endpoint else []
    where += ["--region", store.region] if store.region else []
    what = ["--prefix", prefix, "--key", spec.key, "--dir", scratch, "--most-bytes", str(store.max_bytes)]
    inner = ["python" if word == sys.executable else word for word in spec.command]
    return ["python", "-P", "-m", "retrain.away", *where, *what, "--", *inner]


def _environment(spec: JobSpec, cpu: str) -> Mapping[str, str]:
    """A node has more cores than the job may use: as many threads as it asked for."""
    threads = max(1, math.ceil(float(cpu.rstrip("mk")) * _CORES.get(cpu[-1], 1.0)))
    return {"HOME": "/tmp", "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": str(threads), **spec.env}  # noqa: S108 (the pod's own)


def _user() -> dict[str, int | str]:
    """The service's own user, so that each can read what the other wrote; a service that runs as root leaves it to the image."""
    user, group = os.getuid(), os.getgid()
    if not (user and group):
        return {}
    return {"runAsUser": user, "runAsGroup": group, "fsGroup": group, "fsGroupChangePolicy": "OnRootMismatch"}
