"""Rules about the service itself: is it there, does it look, is what it is given kept, does it reach people."""

from __future__ import annotations

from dashboards.rule import Alert, Recorded, Severity
from dashboards.words import OF_JOB, figure

_OF = "by (namespace, job)"

RECORDED = (
    Recorded(name="retuned:service:info", expr="max by (namespace, job, external_url) (retuned_service_info)"),
    *(
        Recorded(
            name=f"retuned:{what}_lost:ratio_rate30m",
            expr=f"""
            (sum {_OF} (rate(retuned_{what}_total{{outcome=~"dropped|rejected",reason!~"duplicate|sampled_out"}}[30m]))
            or 0 * sum {_OF} (rate(retuned_{what}_total[30m])))
            / (sum {_OF} (rate(retuned_{what}_total[30m])) > 0)
            """,
        )
        for what in ("records", "labels")
    ),
    Recorded(name="retuned:model_troubles:max", expr="max by (namespace, job, model) (retuned_model_troubles)", is_lasting=True),
    *(
        Recorded(name=f"retuned:{what}:max", expr=f"max {_OF} (retuned_{what})", is_lasting=True)
        for what in ("clock_ahead_seconds", "disk_low_state", "notification_lag_seconds")
    ),
    Recorded(name="retuned:notifications:max", expr="max by (namespace, job, outcome) (retuned_notifications_total)"),
)

ALERTS = (
    Alert(
        name="RetunedWatchdog",
        severity=Severity.NONE,
        expr="vector(1)",
        of=(),
        summary="The way from Prometheus to people works",
        says="Always fires. Whoever receives it should be told when it stops: then no other alert arrives either.",
    ),
    Alert(
        name="RetunedServiceDown",
        severity=Severity.PAGE,
        lasts="5m",
        expr=f"""
        (count {_OF} (last_over_time(retuned_service_info[1d])) unless on (namespace, job) count {_OF} (retuned_service_info))
        or
        (absent(retuned_service_info) unless on () count(last_over_time(retuned_service_info[1d])))
        """,
        summary="retuned is down: no model is watched",
        says=(
            "Prometheus has had no metrics of {{ with $labels.job }}{{ . }}{{ else }}any job{{ end }} for 5 minutes. "
            "Records posted meanwhile are refused, and senders must keep them."
        ),
    ),
    Alert(
        name="RetunedTickLate",
        severity=Severity.PAGE,
        lasts="2m",
        expr=f"time() - max {_OF} (retuned_last_tick_timestamp_seconds or retuned_start_timestamp_seconds) > 300",
        summary="retuned answers but no longer looks",
        says="The last look at the models ended {{ $value | humanizeDuration }} ago. Records are still taken; nothing is judged.",
        links={"health_url": "/healthz"},
    ),
    Alert(
        name="RetunedModelInTrouble",
        severity=Severity.TICKET,
        lasts="5m",
        expr="retuned:model_troubles:max > 0",
        summary="{{ $labels.model }}: something of it in retuned's ledger does not read, or does not work",
        says="/healthz says what (`damaged`), the log has the cause. The other models go on; of this one, records are stored.",
        links={"health_url": "/healthz"},
    ),
    Alert(
        name="RetunedClockSetBack",
        severity=Severity.TICKET,
        expr="retuned:clock_ahead_seconds:max > 60",
        summary="retuned's clock was ahead and was set back by {{ $value | humanizeDuration }} or more",
        says="What comes now is watched. Panes, verdicts and runs of that time are dated ahead: until then windows and waits mix both.",
    ),
    Alert(
        name="RetunedCaptureLoss",
        severity=Severity.TICKET,
        lasts="15m",
        expr="retuned:records_lost:ratio_rate30m > 0.05 or retuned:labels_lost:ratio_rate30m > 0.05",
        summary="{{ $value | humanizePercentage }} of what is posted to retuned is lost",
        says=(
            "Of the records (or else the labels) of the last 30 minutes so many were refused or dropped; duplicates and what sampling "
            "leaves out do not count. Figures speak of the rest only."
        ),
    ),
    Alert(
        name="RetunedDiskLow",
        severity=Severity.PAGE,
        expr="retuned:disk_low_state:max > 0",
        lasts="1m",
        summary="retuned's disk is full: records and labels are refused",
        says=(
            "What was acknowledged is safe; senders get 503 and must keep what they have. "
            "It takes records again by itself when there is room."
        ),
        links={"health_url": "/readyz"},
    ),
    Alert(
        name="RetunedDiskFilling",
        severity=Severity.TICKET,
        lasts="1h",
        expr=f"min {_OF} (predict_linear(retuned_disk_free_bytes[6h], 24 * 3600) and retuned_disk_free_bytes offset 3h) < 0",
        summary="retuned's disk will be full within a day",
        says=f"At the pace of the last six hours.{figure('min(retuned_disk_free_bytes{})', OF_JOB, ' Free now: ', 'humanize1024', 'B.')}",
    ),
    Alert(
        name="RetunedNotificationFailing",
        severity=Severity.TICKET,
        expr=f"""
        retuned:notification_lag_seconds:max > 900
        or
        sum {_OF} (increase(retuned:notifications:max{{outcome="given_up"}}[1h])) > 0
        """,
        summary="retuned's own notifications do not arrive",
        says="A message has waited for more than 15 minutes, or was given up after a day. The alerts of Prometheus are not affected.",
    ),
)
