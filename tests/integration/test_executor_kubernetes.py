"""What a cluster does to Jobs: faults of the API over real HTTP, quota, scheduling, eviction, lost nodes. The contract stands elsewhere."""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daemon.act.executors.kubernetes_api import RBAC, Cluster
from daemon.act.executors.port import JobState
from retrain.types import Permanent, Reason, Transient
from tests.clusters import RUN, Bench, bench_of, ended, spec, until
from tests.fake_kubelet import Disruption
from tests.fake_kubernetes import Fault

UP = "import os, time, sys; from pathlib import Path; print('up', flush=True); "


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with bench_of(tmp_path) as found:
        yield found


def waiting_for(path: Path) -> str:
    """Code that goes on when a file is there."""
    return UP + f"[time.sleep(0.02) for _ in iter(lambda: os.path.exists({str(path)!r}), True)]; "


def test_a_watch_that_breaks_off_or_is_too_old_misses_nothing(bench: Bench) -> None:
    executor = bench.executor()
    handle = executor.submit(spec(bench.folder, waiting_for(bench.folder / "go")))
    until(lambda: executor.poll(handle).reason is None)
    before = sum(verb == "GET" and path.endswith("/jobs") for verb, path in bench.fake.requests)
    bench.fake.expire()
    until(lambda: sum(verb == "GET" and path.endswith("/jobs") for verb, path in bench.fake.requests) > before)
    bench.fake.faults.append(Fault("WATCH", "jobs", 500, times=2))
    bench.fake.cut()
    (bench.folder / "go").touch()
    until(lambda: not any(f.times for f in bench.fake.faults))

    def is_done() -> bool:
        try:
            return executor.poll(handle).state is not JobState.RUNNING
        except Transient:
            return False

    until(is_done)
    assert executor.poll(handle).code == 0


def test_bookmarks_carry_the_version_over_quiet_times(bench: Bench) -> None:
    cluster = Cluster(bench.settings())
    _, version = cluster.listed("jobs")
    for what, of in cluster.watched("jobs", version):
        assert what == "BOOKMARK"
        assert int(of["metadata"]["resourceVersion"]) > int(version)
        break
    cluster.close()


@pytest.mark.parametrize(
    ("code", "message", "headers", "kind", "reason", "retry_after_s"),
    [
        (401, "Unauthorized", {}, Transient, Reason.UNAVAILABLE, None),
        (403, "jobs.batch is forbidden: exceeded quota: jobs, used: 3", {}, Transient, Reason.QUOTA, 60.0),
        (403, "User cannot create jobs", {}, Permanent, Reason.REFUSED, None),
        (404, "namespaces not found", {}, Permanent, Reason.NOT_FOUND, None),
        (422, "spec is invalid", {}, Permanent, Reason.REFUSED, None),
        (429, "too many", {"Retry-After": "7"}, Transient, Reason.UNAVAILABLE, 7.0),
        (500, "oops", {}, Transient, Reason.UNAVAILABLE, None),
        (503, "starting", {"Retry-After": "2"}, Transient, Reason.UNAVAILABLE, 2.0),
    ],
)
def test_what_the_server_answers_says_whether_to_try_again(
    bench: Bench, *, code: int, message: str, headers: dict[str, str], kind: type[Exception], reason: Reason, retry_after_s: float | None
) -> None:
    executor = bench.executor()
    bench.fake.faults.append(Fault("POST", "jobs", code, message, headers))
    with pytest.raises(kind) as refused:
        executor.submit(spec(bench.folder, "pass"))
    assert refused.value.reason is reason  # type: ignore[attr-defined]  # both words have it
    assert getattr(refused.value, "retry_after_s", None) == retry_after_s
    assert message in str(refused.value)
    executor.submit(spec(bench.folder, "pass"))
    assert len(bench.fake.all("jobs")) == 1


def test_a_server_that_is_gone_is_transient(bench: Bench) -> None:
    executor = bench.executor(api_url="http://127.0.0.1:9")
    with pytest.raises(Transient):
        executor.submit(spec(bench.folder, "pass"))


def test_a_token_that_rotates_is_read_again(bench: Bench) -> None:
    executor = bench.executor()
    handle = executor.submit(spec(bench.folder, "pass"))
    bench.fake.token = "second-token"
    with pytest.raises(Transient):
        executor.cancel(handle)
    (bench.folder / "token").write_text("second-token\n")
    executor.cancel(handle)
    assert not bench.fake.all("jobs")


def certificate(folder: Path) -> Path:
    """PEM of a key and a certificate for 127.0.0.1 that signs itself."""
    path = folder / "identity.pem"
    subject = ["-subj", "/CN=kubernetes", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", str(path)]
    made = subprocess.run(["openssl", "req", "-x509", *key, *subject], capture_output=True, text=True, check=True, timeout=60)
    path.write_text(path.read_text() + made.stdout)
    return path


def test_in_a_pod_the_cluster_is_found_by_the_standard_files_and_trusted_by_its_certificate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = certificate(tmp_path)
    account = tmp_path / "serviceaccount"
    account.mkdir()
    with bench_of(tmp_path, identity=identity) as bench:
        for name, text in {"ca.crt": identity.read_text(), "token": bench.fake.token, "namespace": "ml"}.items():
            (account / name).write_text(text)
        monkeypatch.setattr("daemon.act.executors.kubernetes_api.ACCOUNT", account)
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", bench.url.rpartition(":")[2])
        in_pod = {"api_url": None, "token_file": None, "namespace": None}
        executor = bench.executor(**in_pod)
        assert ended(executor, executor.submit(spec(bench.folder, "pass"))).code == 0
        stranger = bench.executor(api_url=bench.url)  # who does not know the certificate does not speak to it
        with pytest.raises(Transient, match="certificate"):
            stranger.submit(spec(bench.folder, "pass", key=f"{RUN}.training-1"))
        monkeypatch.delenv("KUBERNETES_SERVICE_HOST")
        with pytest.raises(Permanent, match="no pod of a cluster"):
            bench.executor(**in_pod).submit(spec(bench.folder, "pass", key=f"{RUN}.training-1"))


def test_a_job_of_our_name_that_is_not_ours_is_left_alone(bench: Bench) -> None:
    executor = bench.executor()
    handle = executor.submit(spec(bench.folder, "pass"))
    name = bench.job(handle)
    until(lambda: bool(bench.fake.named("jobs", name)["status"].get("conditions")))
    with bench.fake.lock:
        bench.fake.objects["jobs", name]["metadata"]["annotations"] = {}
    with pytest.raises(Permanent, match="is not ours"):
        executor.submit(spec(bench.folder, "pass"))
    assert bench.fake.all("jobs")


@pytest.mark.parametrize(
    ("quota", "waiting", "reason", "says"),
    [
        ("exceeded quota: compute, requested: cpu=2", None, Reason.QUOTA, "exceeded quota: compute"),
        ('violates PodSecurity "restricted:latest": runAsNonRoot', None, Reason.REFUSED, "violates PodSecurity"),
        (None, ("Unschedulable", "0/3 nodes are available: 3 Insufficient memory."), Reason.UNSCHEDULABLE, "3 Insufficient memory"),
        (None, ("ImagePullBackOff", 'Back-off pulling image "retuned-training:test"'), Reason.IMAGE, "Back-off pulling"),
        (None, ("CreateContainerConfigError", 'secret "s3" not found'), Reason.REFUSED, 'secret "s3" not found'),
    ],
)
def test_a_job_that_cannot_start_says_what_it_waits_for_and_is_ended(
    bench: Bench, quota: str | None, waiting: tuple[str, str] | None, reason: Reason, says: str
) -> None:
    bench.fake.kubelet.quota, bench.fake.kubelet.waiting = quota, waiting
    patient = bench.executor()
    handle = patient.submit(spec(bench.folder, "pass"))
    until(lambda: says in patient.poll(handle).because)
    assert (patient.poll(handle).state, patient.poll(handle).reason) == (JobState.RUNNING, reason)
    status = ended(bench.executor(start_within_s=0.1), handle)
    assert (status.state, status.reason, says in status.because) == (JobState.DONE, reason, True)
    assert not bench.fake.all("jobs")


def test_what_clears_up_in_time_runs(bench: Bench) -> None:
    bench.fake.kubelet.quota = "exceeded quota: compute"
    executor = bench.executor()
    handle = executor.submit(spec(bench.folder, "pass"))
    until(lambda: executor.poll(handle).reason is Reason.QUOTA)
    bench.fake.kubelet.quota = None
    assert ended(executor, handle).code == 0


def test_an_evicted_job_was_preempted_and_its_checkpoint_came_home(bench: Bench) -> None:
    code = (
        UP
        + f"""
import signal
run = Path({str(spec(bench.folder, "").workspace)!r})
def stop(*_):
    (run / "checkpoints/step-000007").mkdir(parents=True); (run / "checkpoints/step-000007/.complete").touch(); os._exit(75)
signal.signal(signal.SIGTERM, stop)
print("ready", flush=True)
time.sleep(60)
"""
    )
    executor = bench.executor()
    handle = executor.submit(spec(bench.folder, code))
    until(lambda: "ready" in executor.logs(handle))
    pod = bench.fake.kubelet.pod_of(bench.job(handle))
    bench.fake.kubelet.disruptions[pod] = Disruption("PreemptionByScheduler", "a pod of higher priority")
    status = ended(executor, handle)
    assert (status.state, status.reason) == (JobState.DONE, Reason.PREEMPTED)
    assert "PreemptionByScheduler: a pod of higher priority" in status.because
    assert list(bench.folder.glob("shared/runs/m/*/*.training-0/checkpoint-000007.json"))


def test_a_trainer_on_a_node_that_was_cut_off_cannot_write_into_the_next_attempt(bench: Bench) -> None:
    root = spec(bench.folder, "").workspace
    assert root is not None

    def writes(word: str) -> str:
        return waiting_for(bench.folder / f"go-{word}") + f"Path({str(root)!r}, 'candidate.json').write_text({word!r})"

    executor = bench.executor()
    lost = executor.submit(spec(bench.folder, writes("first")))
    until(lambda: "up" in executor.logs(lost))
    cut_off = bench.fake.kubelet.pod_of(bench.job(lost))
    bench.fake.kubelet.disruptions[cut_off] = Disruption("DeletionByTaintManager", "node-3 is unreachable", is_node_gone=True)
    until(lambda: executor.poll(lost).state is JobState.LOST)
    (bench.folder / "go-second").touch()
    second = executor.submit(spec(bench.folder, writes("second"), key=f"{RUN}.training-1"))
    assert ended(executor, second).code == 0
    assert (root / "candidate.json").read_text() == "second"
    process = bench.fake.kubelet.processes[cut_off]
    assert process.poll() is None, "the first trainer still runs"
    (bench.folder / "go-first").touch()
    assert process.wait(timeout=60) == 0
    assert list(bench.folder.glob("shared/runs/m/*/*.training-0/outcome.json")), "it has written, where nobody reads"
    assert bench.executor().poll(second).code == 0
    assert (root / "candidate.json").read_text() == "second"


def test_a_job_that_ended_and_was_removed_while_the_service_was_down_is_not_run_again(bench: Bench) -> None:
    root = spec(bench.folder, "").workspace
    wanted = spec(bench.folder, f"open({str(root)!r} + '/made', 'w').write('x')")
    handle = bench.executor().submit(wanted)
    name = bench.job(handle)
    until(lambda: any(c["type"] == "Complete" for c in bench.fake.named("jobs", name)["status"].get("conditions", [])))
    bench.fake.delete_job(name, {"propagationPolicy": "Background"})  # as its time to live does
    later = bench.executor()
    assert later.submit(wanted) == handle
    assert ended(later, handle).code == 0
    assert root is not None
    assert (root / "made").read_text() == "x"
    assert sum(verb == "POST" for verb, _ in bench.fake.requests) == 1


def test_looking_at_a_job_never_speaks_to_the_network_itself(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    executor = bench.executor()
    handle = executor.submit(spec(bench.folder, "pass"))
    who: list[threading.Thread] = []
    call = Cluster._call

    def recorded(self: Cluster, *arguments: Any, **options: Any) -> Any:
        who.append(threading.current_thread())
        return call(self, *arguments, **options)

    monkeypatch.setattr(Cluster, "_call", recorded)
    assert ended(executor, handle).code == 0
    assert who
    assert threading.current_thread() not in who


def test_the_calls_made_are_those_that_the_role_allows(bench: Bench) -> None:
    executor = bench.executor()
    handle = executor.submit(spec(bench.folder, UP + "time.sleep(60)", grace_s=1.0))
    until(lambda: "up" in executor.logs(handle))
    until(lambda: executor.poll(handle).reason is None)
    until(lambda: sum(verb == "WATCH" for verb, _ in bench.fake.requests) >= 3)
    executor.cancel(handle)
    used: dict[str, set[str]] = {}
    for verb, path in bench.fake.requests:
        kind, name, sub = re.findall(r"/namespaces/ml/(\w+)(/[^/]+)?(/log)?$", path)[0]
        word = {"POST": "create", "DELETE": "delete", "WATCH": "watch", "GET": "get" if name else "list"}[verb]
        used.setdefault(kind + sub, set()).add(word)
    assert used == {rule["resources"][0]: set(rule["verbs"]) for rule in RBAC}
