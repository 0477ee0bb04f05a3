"""Settings of the executor: where retrainings run, and what Kubernetes has to know for it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from daemon.settings_part import Part, Positive

KubernetesName = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$")]
Quantity = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti)?$")]
"""As Kubernetes writes amounts: "500m", "2", "4Gi"."""


class StoreSettings(Part):
    """What the service and its jobs both reach (kind: kubernetes): a folder on a shared claim, or S3. Give one of the two.

    Plans, data sets, checkpoints and candidates go through it. `data_dir` stays on the service's own volume.
    """

    claim: KubernetesName | None = None
    """Name of a PersistentVolumeClaim (ReadWriteMany) in the jobs' namespace. The service has it mounted too."""
    mount: Path | None = None
    """Where the claim is mounted, absolute: in the service and, at the same path, in every job. Never `data_dir` or a folder around it."""
    url: str | None = None
    """s3://BUCKET or s3://BUCKET/PREFIX. Credentials come from the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, or the service
    account's own identity), never from this file; jobs get theirs by `env_from_secret` or `service_account`."""
    endpoint: str | None = None
    """http(s)://HOST[:PORT] of an S3 server; None = Amazon's."""
    region: str | None = None
    """None = as the environment says."""
    max_bytes: int = Field(default=8 * 2**30, ge=2**20)
    """More bytes for one job, or from one, are refused."""


class ResourceSettings(Part):
    """What one job asks for; also its limit, so that a job is among the last to be evicted (QoS class Guaranteed)."""

    cpu: Quantity = "2"
    """Cores; training uses as many threads unless `threads` says otherwise."""
    memory: Quantity = "4Gi"
    """A job that needs more ends as out_of_memory."""
    disk: Quantity = "10Gi"
    """Of the node, for the job's working copy of the run and its checkpoints."""
    gpu: int = Field(default=0, ge=0)
    """nvidia.com/gpu. The techniques that are built in train on processors: more than 0 only for one of your own."""


class TolerationSettings(Part):
    """A taint that jobs bear, in Kubernetes' words."""

    key: str | None = None
    """None = every taint (operator: Exists)."""
    operator: Literal["Exists", "Equal"] = "Exists"
    value: str | None = None
    """With operator: Equal."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """None = every effect."""


class ExecutorSettings(Part):
    """Where retrainings run. All but `kind` is for kubernetes."""

    kind: Literal["local", "kubernetes"] = "local"
    """local: processes beside the service · kubernetes: one Job a stage, so that training cannot take the service's memory."""
    image: str | None = None
    """The training image (deploy/Dockerfile, target training), of the service's own version."""
    namespace: KubernetesName | None = None
    """None = the service's own."""
    store: StoreSettings = StoreSettings()
    service_account: KubernetesName | None = None
    """Of the jobs, for an identity with the store; no token of it is mounted. None = the namespace's default."""
    env_from_secret: KubernetesName | None = None
    """Secret whose keys become the jobs' environment: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY. None = none."""
    image_pull_secret: KubernetesName | None = None
    """None = the image is pulled without."""
    resources: ResourceSettings = ResourceSettings()
    node_selector: dict[str, str] = {}
    """Labels that a node must have."""
    tolerations: list[TolerationSettings] = []
    start_within_s: Positive = 1800.0
    """A job that does not run by then (no node, no quota, no image) is ended and told with the cluster's own words."""
    ttl_s: int = Field(default=24 * 3600, ge=60)
    """Kubernetes removes an ended Job after this; its end and the end of its log are kept in data_dir."""
    api_url: str | None = None
    """None = the cluster that the service runs in, by its service account's files. Else http(s)://HOST:PORT of an API server."""
    ca_file: Path | None = None
    """Certificates to trust, with `api_url`; None = the system's."""
    token_file: Path | None = None
    """Bearer token, with `api_url`; read again for each request, since it rotates. None = no token."""
