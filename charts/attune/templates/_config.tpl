{{/*
The text of the configuration file. Fails where it would hold a credential, which everybody may read who may read pods.
*/}}
{{- define "attune.config" -}}
{{- $credentials := dict "database" (list "url" "password") "message_queue" (list "url" "password") "security" (list "jwt_secret" "encryption_key") -}}
{{- range $section, $keys := $credentials -}}
{{- range $keys -}}
{{- if hasKey (get $.Values.config $section | default dict) . -}}
{{- include "attune.refuse" (printf "config.%s.%s: a credential in a ConfigMap is no secret; the fields database, rabbitmq and security of the values put it into one" $section .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
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
