{{- /* retuned.yaml: `config`, and what the chart alone knows: the Jobs' image and service account. */ -}}
{{- define "retuned.config" -}}
{{- $config := deepCopy .Values.config }}
{{- if eq (include "retuned.usesJobs" .) "true" }}
  {{- $known := dict "image" (include "retuned.reference" (list . .Values.trainingImage)) "service_account" (include "retuned.trainingServiceAccount" .) }}
  {{- with .Values.imagePullSecrets }}{{ $_ := set $known "image_pull_secret" (first .).name }}{{ end }}
  {{- $_ := set $config "executor" (merge (get $config "executor") $known) }}
{{- end }}
{{- range $config.models }}
  {{- /* Helm reads YAML 1.1, where a bare `on` is true: given back to the setting that it means */}}
  {{- if hasKey (.retrain | default dict) "true" }}{{ $_ := set .retrain "on" (get .retrain "true") }}{{ $_ = unset .retrain "true" }}{{ end }}
{{- end }}
{{- toYaml $config }}
{{- end }}

{{- define "retuned.configName" -}}
{{ include "retuned.name" . }}-config
{{- end }}

{{- define "retuned.usesJobs" -}}
{{ eq (dig "executor" "kind" "local" .Values.config) "kubernetes" }}
{{- end }}

{{- /* the store of plans and candidates, {} when it is data_dir itself */ -}}
{{- define "retuned.store" -}}
{{- if eq (include "retuned.usesJobs" .) "true" }}{{ dig "executor" "store" dict .Values.config | toJson }}{{ else }}{}{{ end }}
{{- end }}

{{- define "retuned.jobsNamespace" -}}
{{ dig "executor" "namespace" "" .Values.config | default .Release.Namespace }}
{{- end }}
