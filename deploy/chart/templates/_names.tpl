{{- define "retuned.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 53 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 53 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "retuned.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: service
{{- end }}

{{- define "retuned.labels" -}}
{{ include "retuned.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "retuned.serviceAccount" -}}
{{ .Values.serviceAccount.name | default (include "retuned.name" .) }}
{{- end }}

{{- define "retuned.trainingServiceAccount" -}}
{{ include "retuned.name" . }}-training
{{- end }}

{{- define "retuned.tokenSecret" -}}
{{ .Values.token.existingSecret | default (printf "%s-token" (include "retuned.name" .)) }}
{{- end }}

{{- define "retuned.claim" -}}
{{ .Values.persistence.existingClaim | default (printf "%s-data" (include "retuned.name" .)) }}
{{- end }}

{{- /* repository:tag, or repository@digest; call with (list . $image) */ -}}
{{- define "retuned.reference" -}}
{{- $root := index . 0 }}{{ $image := index . 1 -}}
{{ $image.repository }}{{ if $image.digest }}@{{ $image.digest }}{{ else }}:{{ $image.tag | default $root.Chart.AppVersion }}{{ end }}
{{- end }}

{{- /* the service's own: it needs torch beside it when it trains by itself */ -}}
{{- define "retuned.image" -}}
{{- $trains := false }}{{ range .Values.config.models }}{{ if .retrain }}{{ $trains = true }}{{ end }}{{ end }}
{{- ternary .Values.trainingImage .Values.image (and $trains (eq (include "retuned.usesJobs" .) "false")) | toJson }}
{{- end }}
