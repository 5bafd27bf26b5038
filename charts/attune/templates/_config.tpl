{{/*
The text of the configuration file.
*/}}
{{- define "attune.config" -}}
# Settings of the agent; variables go before them.
{{- with .Values.config }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/*
What a worker reads once, when it starts: where it changes, pods are replaced. Of secrets that are there already nobody
tells the chart. Takes root, pool.
*/}}
{{- define "attune.checksums" -}}
checksum/config: {{ include "attune.config" .root | sha256sum }}
checksum/credentials: {{ include "attune.ownCredentials" .root | sha256sum }}
{{- with .pool.hints }}
checksum/hints: {{ toYaml . | sha256sum }}
{{- end }}
{{- end -}}
