{{- /* What the schema cannot say: each line names value, rule and remedy. */ -}}
{{- define "retuned.refusals" -}}
{{- $no := list }}
{{- $urls := dict "config.registry.tracking_uri" (dig "registry" "tracking_uri" "" .Values.config) "config.ledger" (dig "ledger" "" .Values.config) }}
{{- range $path, $url := $urls }}
  {{- if and (regexMatch "://[^/@]*:[^/@]+@" ($url | default "")) (not $.Values.configAsSecret) }}
    {{- $no = append $no (printf "%s holds a password, which a ConfigMap shows to everyone: set configAsSecret: true, or give it by extraEnv (PGPASSWORD, MLFLOW_TRACKING_PASSWORD)" $path) }}
  {{- end }}
{{- end }}
{{- with (include "retuned.store" . | fromJson).claim }}
  {{- if ne (include "retuned.jobsNamespace" $) $.Release.Namespace }}
    {{- $no = append $no (printf "config.executor.store.claim = %s: a claim belongs to one namespace, and the Jobs run in %s while the service runs in %s: leave config.executor.namespace out, or use S3" . (include "retuned.jobsNamespace" $) $.Release.Namespace) }}
  {{- end }}
{{- end }}
{{- with dig "http" "token" "" .Values.config }}
  {{- $no = append $no "config.http.token would be readable in the settings: put the token into a Secret and name it in token.existingSecret" }}
{{- end }}
{{- if and (dig "notify" "urls" list .Values.config) (not .Values.configAsSecret) }}
  {{- $no = append $no "config.notify.urls hold secrets, which a ConfigMap shows to everyone: set configAsSecret: true, or give them by extraEnv (RETUNED_NOTIFY_URLS)" }}
{{- end }}
{{- if or .Values.serviceMonitor.enabled .Values.prometheusRule.enabled }}
  {{- if not (.Capabilities.APIVersions.Has "monitoring.coreos.com/v1") }}
    {{- $no = append $no "serviceMonitor and prometheusRule need monitoring.coreos.com/v1, which this cluster does not know: install the Prometheus operator's CRDs first, or leave them off (`helm template` knows no cluster: --api-versions monitoring.coreos.com/v1)" }}
  {{- end }}
{{- end }}
{{- if regexMatch "(?m)^[ -]*\"(true|false)\":" (include "retuned.config" .) }}
  {{- $no = append $no "config has a key that Helm reads as true or false (a bare on, off, yes, no, y or n): put it in quotes" }}
{{- end }}
{{- if $no }}{{ fail (printf "\n  - %s" (join "\n  - " $no)) }}{{ end }}
{{- end }}
