"""What alerts say: Prometheus templates that look figures and links up when the alert fires, so that they need not be labels."""

from __future__ import annotations

OF_JOB = ("namespace", "job")
OF_MODEL = ("namespace", "job", "model")
"""An alert is about these: `instance` and `pod` change at a restart, and that is no new incident."""


def selector(metric: str, of: tuple[str, ...], **matchers: str) -> str:
    """The template of a selector that has the alert's own labels: the head of a pipeline that ends in `query`."""
    inside = ",".join([*(f"{label}=%q" for label in of), *(f'{label}=~\\"{value}\\"' for label, value in matchers.items())])
    return " ".join([f'printf "{metric.format("{" + inside + "}")}"', *(f"$labels.{label}" for label in of)])


def figures(detectors: str) -> str:
    """A sentence for each of the (five) greatest figures that alarm, with the interval; or that none does, though the incident is open."""

    def bound(word: str, name: str) -> str:
        inside = f'namespace=%q,job=%q,model=%q,detector=%q,subject=%q,bound=\\"{name}\\"'
        of = "$labels.namespace $labels.job $labels.model .Labels.detector .Labels.subject"
        found = f'printf "retuned:alarming_figure:value{{{inside}}}" {of} | query'
        return f'{{{{ range {found} }}}}{word}{{{{ printf "%.3g" .Value }}}}{{{{ end }}}}'

    every = selector("topk(5, retuned:alarming_figure:value{})", OF_MODEL, detector=detectors, bound="value")
    interval = bound(", between ", "low") + bound(" and ", "high")
    one = f'{{{{ .Labels.subject }}}} is {{{{ printf "%.3g" .Value }}}}{interval} ({{{{ .Labels.detector }}}}).'
    return f"{{{{ range {every} | query }}}} {one}{{{{ else }}}} None of these figures alarms just now.{{{{ end }}}}"


def figure(metric: str, of: tuple[str, ...], before: str, form: str, after: str = "", **matchers: str) -> str:
    """One figure between two words; nothing where there is none."""
    found = selector(metric, of, **matchers)
    return f"{{{{ with {found} | query }}}}{before}{{{{ . | first | value | {form} }}}}{after}{{{{ end }}}}"


def since() -> str:
    """When the incident opened."""
    return figure("retuned:incident_opened_timestamp_seconds:max{}", OF_MODEL, " The incident is open since ", "humanizeTimestamp", ".")


def each(metric: str, label: str, of: tuple[str, ...] = OF_MODEL, **matchers: str) -> str:
    """The values of a label, one after the other, of the series that are there."""
    return f"{{{{ range {selector(metric, of, **matchers)} | query }}}} {{{{ .Labels.{label} }}}}{{{{ end }}}}"


def link(path: str, otherwise: str = "", of: tuple[str, ...] = OF_JOB) -> str:
    """A link under the service's external URL; `otherwise` where no service has been seen for a day."""
    seen = selector("last_over_time(retuned:service:info{}[1d])", of)
    return f'{{{{ with {seen} | query }}}}{{{{ . | first | label "external_url" }}}}{path}{{{{ else }}}}{otherwise}{{{{ end }}}}'
