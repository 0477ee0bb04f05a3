"""The Helm chart: what it makes is valid, safe, whole, and agrees with the service that it installs."""

from __future__ import annotations

import json
import shutil
import textwrap
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from typer.testing import CliRunner

from daemon import service
from daemon.check.read import load_settings
from daemon.cli import app
from tests.charts import CHART, ROOT, VALUES, Object, Rendered, helm, parsed, rendered, template
from tests.image import DOCKERFILE, stages
from tests.integration.conftest import running

WATCH, CLAIM, S3, EVERYTHING = (CHART / "ci" / f"{name}.yaml" for name in ("watch", "jobs-claim", "jobs-s3", "everything"))
KUBERNETES = ("1.34", "1.35", "1.36")
CRDS = {"ServiceMonitor", "PrometheusRule"}

every_way = pytest.mark.parametrize("values", [None, *VALUES], ids=lambda file: file.stem if file else "defaults")


@every_way
def test_helm_lints_it_strictly(values: Path | None) -> None:
    helm("lint", "--strict", CHART, *(("--values", values) if values else ()))


@pytest.mark.parametrize("version", KUBERNETES)
def test_every_object_is_valid_in_this_kubernetes(version: str) -> None:
    distinct = {json.dumps(o): o for values in (None, *VALUES) for o in rendered(values).objects if o["kind"] not in CRDS}
    for found in distinct.values():
        assert kubernetes_validate.validate(found, version, strict=True) == version


@every_way
def test_the_service_accepts_the_settings_that_the_chart_gives_it(values: Path | None, tmp_path: Path) -> None:
    file = tmp_path / "retuned.yaml"
    file.write_text(rendered(values).settings_text())
    said = CliRunner().invoke(app, ["check", str(file)], env={"RETUNED_TOKEN": "given-by-the-secret"})
    assert said.exit_code == 0, said.output


def test_settings_pass_through_helm_unchanged(tmp_path: Path) -> None:
    text = (ROOT / "retuned.example.yaml").read_text()
    for before, after in (("./retuned-data ", "/var/lib/retuned "), ("host: 127.0.0.1", "host: 0.0.0.0")):
        assert before in text
        text = text.replace(before, after)
    assert "      on: [performance" in text  # a bare `on`, which Helm's YAML takes for true
    direct, values, given = tmp_path / "direct.yaml", tmp_path / "values.yaml", tmp_path / "given.yaml"
    direct.write_text(text)
    values.write_text("config:\n" + textwrap.indent(text, "  "))
    given.write_text(rendered(values).settings_text())
    assert load_settings(given) == load_settings(direct)


@every_way
def test_it_renders_the_same_twice(values: Path | None) -> None:
    again = parsed(template(*(("--values", values) if values else ())))
    assert _but_for_the_token(again) == _but_for_the_token(rendered(values))


@every_way
def test_every_pod_keeps_to_the_restricted_pod_security_standard(values: Path | None) -> None:
    for pod in rendered(values).pods():
        assert pod["securityContext"].items() >= {"runAsNonRoot": True, "runAsUser": 10001, "runAsGroup": 10001}.items()
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & pod.keys()
        assert {kind for volume in pod.get("volumes", []) for kind in volume} <= {
            "name",
            "configMap",
            "secret",
            "persistentVolumeClaim",
            "emptyDir",
        }
        for container in pod["containers"]:
            expected = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
            assert container["securityContext"] == expected
            assert not any("hostPort" in port for port in container.get("ports", []))
            assert container["resources"]["limits"]["memory"]


@every_way
def test_only_a_service_that_starts_jobs_may_speak_to_the_api(values: Path | None) -> None:
    found = rendered(values)
    starts_jobs = values is not None and values != WATCH
    assert [pod["automountServiceAccountToken"] for pod in found.pods()] == [starts_jobs, False]
    assert len(found.all("Role")) == len(found.all("RoleBinding")) == int(starts_jobs)
    assert all(account["automountServiceAccountToken"] is False for account in found.all("ServiceAccount"))
    assert not found.all("ClusterRole")
    assert not found.all("ClusterRoleBinding")


@every_way
def test_what_the_settings_name_is_mounted_and_reachable(values: Path | None, tmp_path: Path) -> None:
    found = rendered(values)
    settings = found.settings(tmp_path)
    mounts = {mount["name"]: mount["mountPath"] for mount in found.container["volumeMounts"]}
    claims = {v["name"]: v["persistentVolumeClaim"]["claimName"] for v in found.pod["volumes"] if "persistentVolumeClaim" in v}
    assert mounts["data"] == str(settings.data_dir)
    assert found.container["args"] == ["serve", "--config", f"{mounts['config']}/retuned.yaml"]
    assert mounts.keys() == {volume["name"] for volume in found.pod["volumes"]}
    store = settings.executor.store
    assert (claims.get("store"), mounts.get("store")) == (store.claim, store.mount and str(store.mount))
    for name in claims.values():
        assert found.one("PersistentVolumeClaim", name)["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    (port,) = found.container["ports"]
    (service_port,) = found.one("Service")["spec"]["ports"]
    assert port["containerPort"] == service_port["port"] == settings.http.port
    assert port["name"] == service_port["targetPort"]
    assert found.one("Service")["spec"]["selector"].items() <= found.one("Deployment")["spec"]["template"]["metadata"]["labels"].items()


def test_the_service_trains_by_itself_only_with_the_training_image(tmp_path: Path) -> None:
    values = tmp_path / "values.yaml"
    values.write_text(
        CLAIM.read_text().replace("kind: kubernetes\n", "kind: local\n").replace("    store:", "#").replace("storeClaim", "#")
    )
    assert [pod["containers"][0]["image"] for pod in rendered(values).pods()] == ["retuned-training:0.1.0"] * 2
    assert rendered(CLAIM).container["image"] == rendered(WATCH).container["image"] == "retuned-monitoring:0.1.0"
    assert rendered(EVERYTHING).container["image"].startswith("registry.example.com/retuned-monitoring@sha256:00")


def test_the_pod_runs_what_the_dockerfile_builds() -> None:
    found, built = rendered(), stages(DOCKERFILE.read_text())
    steps = {step.name: step for name in ("service", "monitoring") for step in built[name].steps}
    user, group = steps["USER"].value.split(":")
    assert (found.pod["securityContext"]["runAsUser"], found.pod["securityContext"]["runAsGroup"]) == (int(user), int(group))
    assert steps["ENTRYPOINT"].words()[-1] == "retuned"
    assert found.container["args"] == steps["CMD"].words()
    assert found.container["ports"][0]["containerPort"] == int(steps["EXPOSE"].value)
    assert {"name": "data", "mountPath": steps["VOLUME"].value} in found.container["volumeMounts"]
    version = steps["LABEL"].pairs()["org.opencontainers.image.version"]
    assert found.container["image"] == f"retuned-monitoring:{version}"


@every_way
def test_the_token_comes_from_a_secret(values: Path | None) -> None:
    found = rendered(values)
    (token,) = [entry for entry in found.container["env"] if entry["name"] == "RETUNED_TOKEN"]
    name = token["valueFrom"]["secretKeyRef"]["name"]
    assert [s["metadata"]["name"] for s in found.all("Secret") if "retuned.yaml" not in s.get("stringData", {})] == [name] * (
        values is None
    )


@every_way
def test_the_network_policy_lets_in_clients_and_prometheus_and_out_to_what_the_settings_name(values: Path | None) -> None:
    found = rendered(values)
    policy = found.one("NetworkPolicy", "prod-retuned")["spec"]
    assert policy["podSelector"]["matchLabels"] == found.one("Deployment")["spec"]["selector"]["matchLabels"]
    (ingress,) = policy["ingress"]
    assert {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}} in ingress["from"]
    assert ingress["ports"] == [{"port": found.container["ports"][0]["name"], "protocol": "TCP"}]
    dns, *others = policy["egress"]
    assert dns == {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]}
    api = [443, 6443]
    expected = {None: [], WATCH: [], CLAIM: [5000, *api], S3: [443, 9000, *api], EVERYTHING: [5000, 5432, 443, *api, 587]}
    assert [port["port"] for rule in others for port in rule["ports"]] == expected[values]


def test_helm_test_is_let_in_while_it_runs() -> None:
    found = rendered(EVERYTHING)
    policy, pod = found.one("NetworkPolicy", "prod-retuned-ready"), found.one("Pod")
    (ingress,) = policy["spec"]["ingress"]
    assert ingress["from"][0]["podSelector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    assert policy["spec"]["podSelector"] == found.one("NetworkPolicy", "prod-retuned")["spec"]["podSelector"]
    assert policy["metadata"]["annotations"]["helm.sh/hook"] == pod["metadata"]["annotations"]["helm.sh/hook"] == "test"
    assert int(policy["metadata"]["annotations"]["helm.sh/hook-weight"]) < 0


def test_the_claim_holds_what_one_model_may_keep_and_what_stays_free(tmp_path: Path) -> None:
    found = rendered(WATCH)
    settings = found.settings(tmp_path)
    asked = found.one("PersistentVolumeClaim")["spec"]["resources"]["requests"]["storage"]
    kept = settings.models[0].keep.max_bytes
    assert kept is not None
    assert int(asked.removesuffix("Gi")) * 2**30 > 1.2 * (kept + settings.disk.min_free_bytes)


def test_the_pod_has_longer_to_end_than_the_service_takes() -> None:
    assert rendered().pod["terminationGracePeriodSeconds"] > 2 * service._SHUTDOWN_S
    assert rendered().one("Deployment")["spec"]["strategy"] == {"type": "Recreate"}
    assert rendered().one("Deployment")["spec"]["replicas"] == 1


def test_new_settings_restart_the_pod_and_nothing_else_does() -> None:
    def checksum(*args: str) -> Any:
        annotations = parsed(template("--values", WATCH, *args)).one("Deployment")["spec"]["template"]["metadata"]["annotations"]
        return annotations["checksum/config"]

    assert checksum() == checksum("--set", "resources.limits.memory=3Gi") != checksum("--set", "config.tick_s=5")


def test_the_settings_run_the_service_and_probes_scrape_and_helm_test_are_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = rendered(WATCH)
    rest = {k: v for k, v in yaml.safe_load(found.settings_text()).items() if k not in ("data_dir", "http")}
    probes = {found.container[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "liveness", "readiness")}
    (scraped,) = rendered(EVERYTHING).one("ServiceMonitor")["spec"]["endpoints"]
    monkeypatch.setenv("RETUNED_TOKEN", "given-by-the-secret")  # to operate; none of what follows does
    with running(tmp_path, yaml.safe_dump(rest)) as started:
        answers = {path: started.http.get(path).status_code for path in (*probes, scraped["path"])}
        (ready,) = found.one("Pod")["spec"]["containers"]
        *asked, url = ready["args"]
        assert url == f"http://{found.one('Service')['metadata']['name']}:{found.one('Service')['spec']['ports'][0]['port']}"
        said = CliRunner().invoke(app, [*asked, str(started.http.base_url)])
    assert said.exit_code == 0, said.output
    assert "support-sentiment" in said.output
    assert answers == {"/healthz": 200, "/readyz": 200, "/metrics": 200}


def test_prometheus_operator_and_grafana_get_what_they_document() -> None:
    found = rendered(EVERYTHING)
    monitor, rule = found.one("ServiceMonitor"), found.one("PrometheusRule")
    assert monitor["apiVersion"] == rule["apiVersion"] == "monitoring.coreos.com/v1"
    assert monitor["spec"].keys() == {"selector", "endpoints"}  # job = the Service's name, so that two releases are two jobs
    assert monitor["spec"]["endpoints"] == [{"port": "http", "path": "/metrics", "interval": "15s"}]
    svc = found.one("Service")
    assert monitor["spec"]["selector"]["matchLabels"].items() <= svc["metadata"]["labels"].items()
    assert monitor["spec"]["endpoints"][0]["port"] == svc["spec"]["ports"][0]["name"]
    assert monitor["metadata"]["labels"]["release"] == rule["metadata"]["labels"]["release"] == "prometheus"
    assert rule["spec"] == yaml.safe_load((CHART / "files" / "rules.yaml").read_text())
    for group in rule["spec"]["groups"]:
        assert group.keys() <= {"name", "interval", "rules", "limit"}
        for one in group["rules"]:
            assert one.keys() <= {"alert", "record", "expr", "for", "keep_firing_for", "labels", "annotations"}
    files = {file.name: file.read_text() for file in (CHART / "files" / "dashboards").glob("*.json")}
    assert {"fleet.json", "model.json", "service.json"} <= files.keys()
    shown = [m for m in found.all("ConfigMap") if m["metadata"]["labels"].get("grafana_dashboard") == "1"]
    assert {name: text.strip() for m in shown for name, text in m["data"].items()} == {n: t.strip() for n, t in files.items()}
    assert all(m["metadata"]["annotations"] == {"grafana_folder": "retuned"} for m in shown)
    assert all(len(text) < 2**20 for text in files.values())


def test_helm_leaves_the_templates_of_prometheus_and_grafana_alone(tmp_path: Path) -> None:
    chart = tmp_path / "retuned"
    shutil.copytree(CHART, chart)
    rules = {
        "groups": [{"name": "g", "rules": [{"alert": "A", "expr": "up == 0", "annotations": {"summary": "{{ $labels.model }} {{ end }}"}}]}]
    }
    (chart / "files" / "rules.yaml").write_text(yaml.safe_dump(rules))
    (chart / "files" / "dashboards" / "odd.json").write_text('{"legendFormat": "{{model}} {{ .Values.x }}"}\n')
    found = parsed(template("--values", EVERYTHING, chart=chart))
    assert found.one("PrometheusRule")["spec"] == rules
    assert found.one("ConfigMap", "prod-retuned-dashboard-odd")["data"] == {"odd.json": '{"legendFormat": "{{model}} {{ .Values.x }}"}\n'}


def test_notes_say_what_to_do_next() -> None:
    notes = helm("install", "prod", CHART, "--namespace", "mlops", "--dry-run=client", "--hide-secret").split("NOTES:\n")[1]
    found = rendered()
    name, port = found.one("Service")["metadata"]["name"], found.one("Service")["spec"]["ports"][0]["port"]
    assert f"kubectl --namespace mlops rollout status deployment/{found.one('Deployment')['metadata']['name']}" in notes
    assert f"http://{name}.mlops.svc:{port}/v1/records" in notes
    assert f"get secret {found.one('Secret')['metadata']['name']} -o jsonpath='{{.data.token}}'" in notes
    assert "still the chart's example" in notes
    assert "Nothing scrapes it yet" in notes
    assert found.one("PersistentVolumeClaim")["metadata"]["name"] in notes
    quiet = helm("install", "prod", CHART, "--dry-run=client", "--values", CLAIM)
    assert "still the chart's example" not in quiet.split("NOTES:\n")[1]


def test_the_chart_is_of_the_products_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert chart["version"] == chart["appVersion"] == version


def test_every_value_has_a_default_and_every_default_is_known_to_the_schema() -> None:
    schema = yaml.safe_load((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert set(_owned(schema)) - {"global"} == set(_paths(values))


def _but_for_the_token(found: Rendered) -> list[Object]:
    """A token that is made is a new one without a cluster to look the old one up in."""
    return [{k: v for k, v in o.items() if o["kind"] != "Secret" or k != "data"} for o in found.objects]


def _owned(schema: Object, at: str = "") -> Iterator[str]:
    """Paths of the values that the chart itself owns: objects that take no other key."""
    for name, part in schema["properties"].items():
        yield f"{at}{name}"
        if part.get("additionalProperties") is False and part.get("type") == "object":
            yield from _owned(part, f"{at}{name}.")


def _paths(values: Object) -> Iterator[str]:
    chart_owned = ("token", "persistence", "storeClaim", "service", "serviceAccount", "trainingServiceAccount", "serviceMonitor")
    chart_owned += ("prometheusRule", "dashboards", "networkPolicy", "podDisruptionBudget", "resources")
    for name, value in values.items():
        yield name
        if name in chart_owned:
            yield from (f"{name}.{inner}" for inner in value)
