"""How the service itself is: ticks, spool, counts at the door. Read by any thread, written by the ticking one."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING

from daemon.capture.frames import EntryKind
from daemon.show.views import EncoderView, Health

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from daemon.capture.counts import Counts
    from daemon.capture.spool import Spool
    from daemon.store.disk import Disk
    from daemon.store.embed.encoder import Encoder
    from daemon.store.embed.encoders import Encoders
    from daemon.store.intake import Intake
    from detectors.fairness.groups import GroupFigure
    from retrain.types import Reason


class Monitor:
    """Collects what `Health` shows."""

    def __init__(self, counts: Counts, spool: Spool | None, intake: Intake, disk: Disk, encoders: Encoders) -> None:
        """`spool` None: a replay, which has none."""
        self._counts, self._spool, self._intake, self._disk = counts, spool, intake, disk
        self._encoders = encoders
        self._started_at, self._woke = time.time(), time.monotonic()
        self._ticks = self._failed = 0
        self._last_at: float | None = None
        self._tick_s = 0.0
        self._behind_since = 0.0
        self._failures: tuple[Mapping[Reason, int], ...] = ()
        self._alias_lag_s: Callable[[float], Mapping[str, float]] = lambda _now: {}
        self._blind: Mapping[str, frozenset[str]] = {}
        self._reference_notes: Callable[[], Mapping[str, tuple[str, ...]]] = dict
        self._groups: Mapping[str, Sequence[GroupFigure]] = {}
        self._kept_bytes: Callable[[], Mapping[str, int]] = dict
        self._troubles: Callable[[], Mapping[str, tuple[str, ...]]] = dict

    def watch(
        self,
        *,
        failures: tuple[Mapping[Reason, int], ...],
        troubles: Callable[[], Mapping[str, tuple[str, ...]]],
        alias_lag_s: Callable[[float], Mapping[str, float]],
        blind: Mapping[str, frozenset[str]],
        reference_notes: Callable[[], Mapping[str, tuple[str, ...]]],
        groups: Mapping[str, Sequence[GroupFigure]],
        kept_bytes: Callable[[], Mapping[str, int]],
    ) -> None:
        """Where the deciding and the acting side keep what they know."""
        self._failures, self._alias_lag_s, self._blind, self._reference_notes = failures, alias_lag_s, blind, reference_notes
        self._groups, self._kept_bytes, self._troubles = groups, kept_bytes, troubles

    def ticked(self, now: float, seconds: float) -> None:
        """A tick ended well."""
        self._ticks, self._last_at, self._tick_s = self._ticks + 1, now, seconds
        self._woke = time.monotonic()

    def failed(self) -> None:
        """A tick did not."""
        self._failed += 1

    def health(self, now: float) -> Health:
        """As of now."""
        counts, disk = self._counts, self._disk.state()
        return Health(
            started_at=self._started_at,
            not_ready=(*(() if self._ticks else ("the first tick has not ended",)), *((disk.because,) if disk.is_low else ())),
            disk_free_bytes=disk.free_bytes,
            disk_is_low=disk.is_low,
            kept_bytes=self._kept_bytes(),
            ticks=self._ticks,
            failed_ticks=self._failed,
            last_tick_at=self._last_at,
            quiet_s=time.monotonic() - self._woke,
            tick_s=self._tick_s,
            spool_backlog_bytes=self._spool.unread_bytes() if self._spool else 0,
            spool_lag_s=self._lag_s(now),
            accepted_records=counts.accepted[EntryKind.RECORDS],
            accepted_labels=counts.accepted[EntryKind.LABELS],
            rejected_records=self._refused(EntryKind.RECORDS),
            rejected_labels=self._refused(EntryKind.LABELS),
            alias_lag_s=self._alias_lag_s(now),
            blind=dict(self._blind),
            reference_notes=self._reference_notes(),
            groups=dict(self._groups),
            encoders=tuple(_encoder(*on, encoder) for on, encoder in self._encoders.of.items()),
            troubles=self._troubles(),
            failures=dict(sum((Counter({str(k): n for k, n in of.items()}) for of in self._failures), Counter())),
        )

    def _refused(self, kind: EntryKind) -> dict[str, int]:
        return {str(reason): n for (of, reason), n in list(self._counts.refused.items()) if of is kind}

    def _lag_s(self, now: float) -> float:
        """For how long something durable has been unread: 0 once the intake has read up to the spool's end."""
        if self._spool is None or self._intake.mark >= self._spool.durable:
            self._behind_since = 0.0
            return 0.0
        self._behind_since = self._behind_since or now
        return max(0.0, now - self._behind_since)


def _encoder(model: str, subject: str, encoder: Encoder) -> EncoderView:
    return EncoderView(
        model=model,
        subject=subject,
        state=str(encoder.state),
        because=encoder.because,
        lost_n=encoder.lost_n,
        texts_per_s=encoder.texts_per_s,
        cpu_s=encoder.cpu_s,
        rss_bytes=encoder.rss_bytes,
    )
