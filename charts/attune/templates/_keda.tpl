{{/*
The database as KEDA's trigger has it, where the secret holds the password alone; else the URL is all that it needs.
*/}}
{{- define "attune.kedaDatabase" -}}
{{- if hasKey (include "attune.credentials" . | fromJson) "ATTUNE__DATABASE__PASSWORD" -}}
host: {{ .Values.database.host | quote }}
port: {{ .Values.database.port | int | quote }}
userName: {{ .Values.database.username | quote }}
dbName: {{ .Values.database.database | quote }}
sslmode: {{ .Values.database.tls.mode | default "prefer" | quote }}
{{- end -}}
{{- end -}}

{{/*
How many executions a pool's workers have. Workers are known by the labels that the chart gives them; those labels have no
quotes, by the schema's and by Helm's rules for names. Takes root, pool.
*/}}
{{- define "attune.kedaQuery" -}}
{{- $schema := .root.Values.database.schema -}}
SELECT count(*) FROM {{ $schema }}.execution e JOIN {{ $schema }}.worker w ON w.id = e.worker WHERE w.capabilities->'labels'->>'pool' = '{{ .pool.labels.pool }}' AND w.capabilities->'labels'->>'release' = '{{ .pool.labels.release }}' AND e.status IN ('scheduled', 'running')
{{- end -}}
