"""The service without Helm: the same objects, down to each field."""

from __future__ import annotations

import json
import re
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from daemon.check import yaml_lines
from daemon.check.read import load_settings
from tests.charts import CHART, OPERATOR, Object, Rendered, helm, kustomize, parsed

KUBERNETES = ("1.34", "1.35", "1.36")
OF_HELM = {("Pod", "retuned-ready"), ("NetworkPolicy", "retuned-ready")}
"""`helm test`."""

both = pytest.mark.parametrize(
    ("folder", "values"),
    [("base", None), ("overlays/jobs", CHART / "ci" / "jobs-claim.yaml")],
    ids=["base", "jobs"],
)


@both
def test_it_makes_what_the_chart_makes(folder: str, values: Path | None) -> None:
    args = ("--set", "token.existingSecret=retuned-token", *(("--values", values) if values else ()))
    chart = parsed(helm("template", "retuned", CHART, "--namespace", "mlops", *OPERATOR, *args))
    built, wanted = _comparable(kustomize(folder)), {k: v for k, v in _comparable(chart).items() if k not in OF_HELM}
    assert built.keys() == wanted.keys()
    for key, one in wanted.items():
        assert built[key] == one, key


@pytest.mark.parametrize("version", KUBERNETES)
def test_every_object_is_valid_in_this_kubernetes(version: str) -> None:
    for found in {json.dumps(o): o for folder in ("base", "overlays/jobs") for o in kustomize(folder).objects}.values():
        assert kubernetes_validate.validate(found, version, strict=True) == version


@both
def test_the_service_accepts_its_settings(folder: str, values: Path | None, tmp_path: Path) -> None:
    file = tmp_path / "retuned.yaml"
    file.write_text(kustomize(folder).settings_text())
    assert load_settings(file).executor.kind == ("kubernetes" if values else "local")


def test_new_settings_start_a_new_pod() -> None:
    names = [v["configMap"]["name"] for folder in ("base", "overlays/jobs") for v in kustomize(folder).pod["volumes"] if "configMap" in v]
    assert all(re.fullmatch(r"retuned-config-\w{10}", name) for name in names)
    assert len(set(names)) == 2


def test_rights_are_given_in_one_namespace_to_the_service_alone() -> None:
    (binding,) = kustomize("overlays/jobs").all("RoleBinding")
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "retuned", "namespace": "mlops"}]
    assert not {"Role", "RoleBinding", "ClusterRole"} & {o["kind"] for o in kustomize("base").objects}


def _comparable(found: Rendered) -> dict[tuple[str, str], Object]:
    """What matters of each object: all but metadata, settings as they read, volumes in one order, no digest in a ConfigMap's name."""
    objects: dict[tuple[str, str], Object] = {}
    for one in found.objects:
        text = re.sub(r"retuned-config-\w{10}\b", "retuned-config", yaml.safe_dump(one))
        plain: Object = yaml.safe_load(text)
        metadata = plain.pop("metadata")
        plain.get("spec", {}).get("template", {}).get("metadata", {}).pop("annotations", None)
        if plain["kind"] == "ConfigMap":
            plain["data"] = {name: yaml_lines.read(body.encode())[0] for name, body in plain["data"].items()}
        if plain["kind"] == "Deployment":
            pod = plain["spec"]["template"]["spec"]
            for part, named in ((pod, "volumes"), (pod["containers"][0], "volumeMounts")):
                part[named].sort(key=lambda entry: entry["name"])
        objects[plain["kind"], metadata["name"]] = plain
    return objects
