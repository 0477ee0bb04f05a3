"""Rules of the executor: what cannot work is refused before anything starts, not by a Job that never runs."""

from __future__ import annotations

import importlib.util
import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from daemon.check.rules import Finding
from daemon.show.guard import is_loopback

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from daemon.settings import Settings
    from daemon.settings_executor import ExecutorSettings

_AT = ("executor",)
TRAINING = ("torch", "transformers", "peft", "safetensors")
"""What the extra `train` brings."""
_S3 = re.compile(r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9._/-]*)?$")
_HTTP = re.compile(r"^https?://[^/@\s]+/?$")


def findings(settings: Settings) -> list[Finding]:
    """Every rule that is not kept."""
    if settings.executor.kind == "local":
        return [*_unused(settings.executor), *_trainers(settings)]
    return [*_image(settings.executor), *_store(settings), *_registry(settings), *_bases(settings), *_api(settings.executor)]


def _unused(wanted: ExecutorSettings) -> Iterator[Finding]:
    for name in type(wanted).model_fields:
        value = getattr(wanted, name)
        if name != "kind" and value != type(wanted).model_fields[name].get_default():
            remedy = "add `kind: kubernetes`, or remove it"
            yield Finding((*_AT, name), None, "is used with kind: kubernetes only", remedy)


def _trainers(settings: Settings) -> Iterator[Finding]:
    """Watching does without torch; a training beside the service does not."""
    missing = [name for name in TRAINING if importlib.util.find_spec(name) is None]
    for i, model in enumerate(settings.models):
        if model.retrain is not None and missing:
            rule = f"needs {', '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not installed here"
            remedy = "pip install 'retuned[train]', take the training image, or let a cluster train: `executor: {kind: kubernetes, …}`"
            yield Finding(("models", i, "retrain"), None, rule, remedy)


def _image(wanted: ExecutorSettings) -> Iterator[Finding]:
    if wanted.image is None:
        yield Finding((*_AT, "image"), None, "must name the training image", "add `image: REGISTRY/retuned-training:VERSION`")
    if importlib.util.find_spec("kubernetes") is None:
        yield Finding((*_AT, "kind"), wanted.kind, "needs the package kubernetes", "pip install 'retuned[kubernetes]'")


def _store(settings: Settings) -> Iterator[Finding]:
    at, store = (*_AT, "store"), settings.executor.store
    if store.claim is None and store.url is None:
        remedy = "give `claim` and `mount`, or `url: s3://BUCKET/PREFIX`"
        yield Finding(at, None, "jobs run on other nodes: they need a store that they share with the service", remedy)
    if store.claim is not None and store.url is not None:
        yield Finding((*at, "url"), store.url, "must not be given beside a claim", "keep one of the two")
    if (store.claim is None) != (store.mount is None):
        given, lacks = ("claim", "mount") if store.mount is None else ("mount", "claim")
        yield Finding((*at, given), str(getattr(store, given)), f"must come with `{lacks}`", f"add `{lacks}`")
    if store.mount is not None:
        yield from _mount(store.mount, settings.data_dir)
    if store.url is not None and not _S3.match(store.url):
        yield Finding((*at, "url"), store.url, "must be s3://BUCKET or s3://BUCKET/PREFIX", "without credentials, port or query")
    if store.endpoint is not None and not _HTTP.match(store.endpoint):
        yield Finding((*at, "endpoint"), store.endpoint, "must be http(s)://HOST[:PORT]", "without credentials or path")
    for name in ("endpoint", "region"):
        if getattr(store, name) is not None and store.url is None:
            yield Finding((*at, name), getattr(store, name), "is used with `url` only", "add the url, or remove it")


def _mount(mount: Path, data_dir: Path) -> Iterator[Finding]:
    at = (*_AT, "store", "mount")
    if not mount.is_absolute():
        yield Finding(at, str(mount), "must be absolute", "the same path in the service and in the jobs, say /var/lib/retuned-shared")
        return
    here, there = data_dir.resolve(), mount.resolve()
    if here.is_relative_to(there) or there.is_relative_to(here):
        remedy = "ledger, spool and locks need a volume of the service's own; mount the claim beside it, say at /var/lib/retuned-shared"
        yield Finding(at, str(mount), f"must lie apart from data_dir ({data_dir})", remedy)


def _registry(settings: Settings) -> Iterator[Finding]:
    uri = settings.registry.tracking_uri
    if uri is None or uri.startswith(("sqlite", "file:")) or "://" not in uri:
        rule = "must be a URL with executor.kind: kubernetes: an embedded MLflow is out of reach for model servers in other pods"
        yield Finding(("registry", "tracking_uri"), uri, rule, "say http://mlflow:5000")


def _bases(settings: Settings) -> Iterator[Finding]:
    mount = settings.executor.store.mount
    for i, model in enumerate(settings.models):
        base = model.retrain.base_model if model.retrain is not None else None
        if base is None or base.startswith("package:"):
            continue
        if mount is None or not (settings.data_dir / base).resolve().is_relative_to(mount.resolve()):
            where = f"lie in executor.store.mount ({mount}), or " if mount is not None else ""
            remedy = (
                "copy it to the claim, or install it as a package in both images" if mount else "install it as a package in both images"
            )
            yield Finding(("models", i, "retrain", "base_model"), base, f"must {where}be package:NAME: jobs see no other folder", remedy)


def _api(wanted: ExecutorSettings) -> Iterator[Finding]:
    if wanted.api_url is None:
        for name in ("ca_file", "token_file"):
            if getattr(wanted, name) is not None:
                yield Finding((*_AT, name), str(getattr(wanted, name)), "is used with `api_url` only", "add api_url, or remove it")
    elif not _HTTP.match(wanted.api_url):
        yield Finding((*_AT, "api_url"), wanted.api_url, "must be http(s)://HOST[:PORT]", "without credentials or path")
    elif wanted.token_file is not None and wanted.api_url.startswith("http:") and not is_loopback(urlsplit(wanted.api_url).hostname or ""):
        yield Finding((*_AT, "api_url"), wanted.api_url, "must be https:// with a token", "over http the token could be read on its way")
