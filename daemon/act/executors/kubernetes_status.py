"""What Job, pod and events say about a job, in the executor's words. Pure: objects as the API server gives them in, a status out."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from daemon.act.executors.kubernetes_manifest import CONTAINER
from daemon.act.executors.port import JobState, JobStatus
from retrain.types import Reason

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Object = dict[str, Any]
HUNG_S = 120.0
"""A pod that should have ended so long ago is on a node that does not answer (and clocks differ a little)."""
_NODE_GONE = {"DeletionByTaintManager", "DeletionByPodGC", "NodeLost"}
_IMAGE = {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable", "ImageInspectError"}
_SIGNAL_BASE = 128


def status(job: Object | None, pods: Sequence[Object], events: Sequence[Object], *, now: float, is_final: bool = False) -> JobStatus | None:
    """How a job stands. None: it has failed and its pod has not been told yet; `is_final` says that no more will be told."""
    if job is None:
        return JobStatus(state=JobState.LOST, because="the Job is gone from the cluster")
    pod = max(pods, key=lambda p: str(p["metadata"].get("creationTimestamp", "")), default=None)
    if (complete := _condition(job, "Complete")) is not None:
        return JobStatus(state=JobState.DONE, code=0, seconds=_seconds(job, pod, complete))
    failed = _condition(job, "Failed")
    if failed is None:
        return _going(job, pod, events, now)
    seconds = _seconds(job, pod, failed)
    if failed.get("reason") == "DeadlineExceeded":
        return JobStatus(state=JobState.DONE, stopped="deadline", seconds=seconds, because=str(failed.get("message", "")))
    ended = _pod_end(pod, seconds) if pod is not None else None
    if ended is not None or not is_final:
        return ended
    return _without_pod(failed, seconds)


def _without_pod(failed: Object, seconds: float) -> JobStatus:
    """The pod is gone, only the Job's own condition is left."""
    because = f"{failed.get('reason', 'Failed')}: {failed.get('message', '')}"
    if "DisruptionTarget" in because:
        return JobStatus(state=JobState.DONE, seconds=seconds, reason=Reason.PREEMPTED, because=because)
    return JobStatus(state=JobState.LOST, seconds=seconds, because=f"its pod is gone ({because})")


def _pod_end(pod: Object, seconds: float) -> JobStatus | None:
    """How the pod ended, None while it has not."""
    told = pod.get("status", {})
    disruption = _condition(pod, "DisruptionTarget") or {}
    cause = str(disruption.get("reason") or told.get("reason") or "")
    message = str(disruption.get("message") or told.get("message") or "")
    if cause in _NODE_GONE:
        return JobStatus(state=JobState.LOST, seconds=seconds, because=f"the node is gone ({cause}: {message})")
    if disruption or cause in {"Evicted", "Preempting", "NodeShutdown"}:
        return JobStatus(state=JobState.DONE, seconds=seconds, reason=Reason.PREEMPTED, because=f"{cause}: {message}")
    ended = _container(pod).get("state", {}).get("terminated")
    if ended is not None:
        return _container_end(ended, seconds)
    if told.get("phase") == "Failed":
        return JobStatus(state=JobState.DONE, seconds=seconds, reason=Reason.CRASHED, because=f"{cause or 'Failed'}: {message}")
    return None


def _container_end(ended: Object, seconds: float) -> JobStatus:
    code, cause = int(ended.get("exitCode", 1)), str(ended.get("reason", ""))
    code = _SIGNAL_BASE - code if code > _SIGNAL_BASE else code
    message = str(ended.get("message", ""))[-500:]
    if cause == "OOMKilled":
        because = "the container used more memory than executor.resources.memory allows (OOMKilled)"
        return JobStatus(state=JobState.DONE, code=code, seconds=seconds, reason=Reason.OUT_OF_MEMORY, because=because)
    if cause in {"StartError", "ContainerCannotRun", "CreateContainerError"}:
        return JobStatus(state=JobState.DONE, code=code, seconds=seconds, reason=Reason.IMAGE, because=f"{cause}: {message}")
    return JobStatus(state=JobState.DONE, code=code, seconds=seconds)


def _going(job: Object, pod: Object | None, events: Sequence[Object], now: float) -> JobStatus:
    """At work, or what it waits for: then with a reason."""
    waits: tuple[Reason, str] | None
    if pod is None:
        waits = _no_pod(job, events)
    elif (gone_at := pod["metadata"].get("deletionTimestamp")) is not None and now > moment(gone_at) + HUNG_S:
        because = "its pod was told to end and does not: the node does not answer"
        return JobStatus(state=JobState.LOST, because=because)
    else:
        waits = _pending(pod) if pod.get("status", {}).get("phase", "Pending") == "Pending" else None
    if waits is None:
        return JobStatus(state=JobState.RUNNING)
    return JobStatus(state=JobState.RUNNING, reason=waits[0], because=waits[1][:500])


def _no_pod(job: Object, events: Sequence[Object]) -> tuple[Reason, str]:
    if job.get("spec", {}).get("suspend"):
        return Reason.UNSCHEDULABLE, "the Job is suspended: a queue holds it"
    refused = [e for e in events if e.get("reason") == "FailedCreate"]
    if not refused:
        return Reason.UNSCHEDULABLE, "the cluster has made no pod yet"
    message = str(
        max(refused, key=lambda e: str(e.get("lastTimestamp") or e["metadata"].get("creationTimestamp") or "")).get("message", "")
    )
    return (Reason.QUOTA if "exceeded quota" in message else Reason.REFUSED), message


def _pending(pod: Object) -> tuple[Reason, str]:
    waiting = _container(pod).get("state", {}).get("waiting", {})
    cause, message = str(waiting.get("reason", "")), str(waiting.get("message", ""))
    if cause in _IMAGE:
        return Reason.IMAGE, f"{cause}: {message}"
    if cause.startswith("CreateContainer"):
        return Reason.REFUSED, f"{cause}: {message}"
    scheduled: Mapping[str, Any] = next((c for c in pod.get("status", {}).get("conditions", []) if c.get("type") == "PodScheduled"), {})
    if scheduled.get("status") == "False":
        return Reason.UNSCHEDULABLE, f"{scheduled.get('reason', 'Unschedulable')}: {scheduled.get('message', '')}"
    return Reason.UNSCHEDULABLE, f"its pod is starting{f' ({cause})' if cause else ''}"


def _condition(of: Object, kind: str) -> Object | None:
    found = of.get("status", {}).get("conditions") or []
    return next((c for c in found if c.get("type") == kind and c.get("status") == "True"), None)


def _container(pod: Object) -> Object:
    """The job's own container; others were added by the cluster (a mesh's sidecar)."""
    told = pod.get("status", {}).get("containerStatuses") or []
    found: Object = next((container for container in told if container.get("name") == CONTAINER), {})
    return found


def _seconds(job: Object, pod: Object | None, ended: Object) -> float:
    """Of the container where it is told, else of the Job."""
    container = _container(pod).get("state", {}).get("terminated", {}) if pod is not None else {}
    since = container.get("startedAt") or job.get("status", {}).get("startTime")
    until = container.get("finishedAt") or ended.get("lastTransitionTime")
    return max(0.0, moment(until) - moment(since)) if since and until else 0.0


def moment(text: str) -> float:
    """Seconds since the epoch of a Kubernetes time."""
    found = datetime.fromisoformat(text)
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
