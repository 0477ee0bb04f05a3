{{- /* What the service must reach, as [{for, port}], from the URLs in `config`. A NetworkPolicy knows no host names: any address, one port. */ -}}
{{- define "retuned.ports" -}}
{{- $found := list }}
{{- $urls := dict "MLflow" (dig "registry" "tracking_uri" "" .Values.config) "ledger" (dig "ledger" "" .Values.config) }}
{{- range $for, $url := $urls }}
  {{- with include "retuned.portOf" ($url | default "") }}{{ $found = append $found (dict "for" $for "port" (int .)) }}{{ end }}
{{- end }}
{{- with include "retuned.s3Port" . }}{{ $found = append $found (dict "for" "S3" "port" (int .)) }}{{ end }}
{{- if eq (include "retuned.usesJobs" .) "true" }}
  {{- $found = concat $found (list (dict "for" "Kubernetes API, by its service" "port" 443) (dict "for" "Kubernetes API, by its endpoint" "port" 6443)) }}
{{- end }}
{{- toJson $found }}
{{- end }}

{{- /* empty when the store is no S3 */ -}}
{{- define "retuned.s3Port" -}}
{{- $store := include "retuned.store" . | fromJson }}
{{- if $store.url }}{{ include "retuned.portOf" ($store.endpoint | default "https://s3") }}{{ end }}
{{- end }}

{{- define "retuned.portOf" -}}
{{- $scheme := regexFind "^[a-z0-9]+" . }}
{{- $given := regexFind "^[a-z0-9+]+://[^/]*:[0-9]+(/|$)" . | trimSuffix "/" | regexFind "[0-9]+$" }}
{{- $usual := dict "http" "80" "https" "443" "postgresql" "5432" "postgres" "5432" "mysql" "3306" }}
{{- if regexMatch "^[a-z0-9+]+://[^/]" . }}{{ $given | default (get $usual $scheme) }}{{ end }}
{{- end }}
