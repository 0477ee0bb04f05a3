{{- /* retuned.yaml: `config`, and what the chart alone knows: the Jobs' image and service account. */ -}}
{{- define "retuned.config" -}}
{{- $config := deepCopy .Values.config }}
{{- if eq (include "retuned.usesJobs" .) "true" }}
  {{- $known := dict "image" (include "retuned.reference" (list . .Values.trainingImage)) "service_account" (include "retuned.trainingServiceAccount" .) }}
  {{- with .Values.imagePullSecrets }}{{ $_ := set $known "image_pull_secret" (first .).name }}{{ end }}
  {{- $_ := set $config "executor" (merge (get $config "executor") $known) }}
{{- end }}
{{- /* Helm reads YAML 1.1, where a bare `on` is true: given back to the two settings that are called so */}}
{{- $on := list ($config.notify | default dict) }}
{{- range $config.models }}{{ $on = append $on (.retrain | default dict) }}{{ end }}
{{- range $on }}
  {{- if hasKey . "true" }}{{ $_ := set . "on" (get . "true") }}{{ $_ = unset . "true" }}{{ end }}
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
