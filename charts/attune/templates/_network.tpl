{{/*
The ports of the control plane, {ports: […]} in JSON. Where an address is in a secret alone, they are the usual ones.
*/}}
{{- define "attune.controlPlanePorts" -}}
{{- $ports := list (include "attune.portOf" (dict "url" .Values.database.url "usual" .Values.database.port) | int) -}}
{{- $known := or .Values.rabbitmq.url .Values.rabbitmq.host .Values.quickstart.enabled -}}
{{- $ports = append $ports (include "attune.portOf" (dict "url" .Values.rabbitmq.url "usual" (include "attune.brokerPort" .Values.rabbitmq)) | int) -}}
{{- if not $known -}}
{{- $ports = append $ports 5671 -}}
{{- end -}}
{{- with .Values.api.url -}}
{{- $ports = append $ports (include "attune.portOf" (dict "url" . "usual" (ternary 443 80 (hasPrefix "https:" .))) | int) -}}
{{- end -}}
{{- dict "ports" (uniq $ports) | toJson -}}
{{- end -}}

{{/*
The port in a URL, or the usual one. Takes url, usual.
*/}}
{{- define "attune.portOf" -}}
{{- $host := "" -}}
{{- if .url -}}
{{- $host = (urlParse .url).host -}}
{{- end -}}
{{- regexFind ":[0-9]+$" $host | trimPrefix ":" | default (.usual | int) -}}
{{- end -}}
