"""Settings of the service itself: its port, its disk, whom it tells of what, and the registry."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field, SecretStr

from daemon.settings_part import Part, Positive, Ratio


class HttpSettings(Part):
    """The service's own port."""

    host: str = "127.0.0.1"
    """Loopback by default. On any other address the operate endpoints need `token`."""
    port: int = Field(default=8420, ge=0, le=65535)
    token: SecretStr | None = None
    """Bearer token of the operate endpoints; better by the environment: RETUNED_TOKEN."""
    max_body_bytes: int = Field(default=16 * 2**20, ge=1024)
    """Larger bodies get 413."""
    max_batch_n: int = Field(default=10_000, ge=1)
    """More records in one request get 413."""
    external_url: Annotated[str, Field(pattern=r"^https?://[^\s/?#]+(/[^\s?#]*[^\s?#/])?$", max_length=512)] | None = None
    """Where people reach the service, without a slash at the end: the links in alerts and messages. None = the listening address, which
    is right on one machine only."""

    @property
    def url(self) -> str:
        """What links begin with."""
        return self.external_url or self.listening

    @property
    def listening(self) -> str:
        """The address that the port is bound to."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


class DiskSettings(Part):
    """When the disk is too full to take in more: records and labels are then answered 503 until there is room again.

    A limit is the smaller of a number and a share, so that neither a small volume nor a huge one is left unused.
    """

    min_free_bytes: int = Field(default=2**30, ge=0)
    """So much stays free for the ledger and for what was acknowledged already. 0 = never low."""
    min_free_inodes: int = Field(default=10_000, ge=0)
    """Likewise: a pane is a file."""
    min_free_ratio: Ratio = 0.05
    """The share."""


class Topic(StrEnum):
    """What people can be told of."""

    INCIDENT = "incident"
    """Opened, become harmful, become one of fairness too, shown to do no harm, closed."""
    RUN = "run"
    """Failed, waiting for approval, promoted, rolled back, and every other end."""
    REFERENCE = "reference"
    """A person absorbed a shift into the reference, or undid that; one that was learnt or came back lets something go."""
    BLIND = "blind"
    ADVICE = "advice"
    """What only a person may do: a suggested retraining, a used-up budget."""
    ALIAS = "alias"
    """Moved by somebody else in the registry."""


class NotifySettings(Part):
    """Messages to people by the service itself: for those who have no Prometheus and Alertmanager."""

    urls: list[Annotated[SecretStr, Field(min_length=4)]] = []
    """Targets as apprise writes them (json://, slack://, mailtos://, …). They hold secrets: better by the environment, RETUNED_NOTIFY_URLS,
    separated by white space."""
    on: list[Topic] = list(Topic)
    """What to tell."""
    retry_h: Positive = 24.0
    """A message that a target does not take is tried again for so long: a day outlasts an outage, and what is older is no news."""


class RegistrySettings(Part):
    """MLflow."""

    tracking_uri: str | None = None
    """None = SQLite in data_dir."""
