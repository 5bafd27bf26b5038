{{/*
A job. Its pod can never change, so that its name has a checksum of it: a release with another pod has another job.
Takes root, for, template: what its pod is made from.
*/}}
{{- define "attune.job" -}}
{{- $pod := include .template .root -}}
{{- $name := include "attune.name" (dict "root" .root "for" (printf "%s-%s" .for ($pod | sha256sum | trunc 8))) -}}
apiVersion: batch/v1
kind: Job
metadata:
  {{- include "attune.metadata" (dict "root" .root "name" $name "component" .for) | nindent 2 }}
spec:
  # Waiting for a server that never comes ends with its timeout, and begins again.
  backoffLimit: 20
  template:
    metadata:
      labels:
        {{- include "attune.podLabels" (dict "root" .root "component" .for) | nindent 8 }}
    spec:
      {{- $pod | nindent 6 }}
{{- end -}}

{{- define "attune.jobPod" -}}
{{- with include "attune.imagePullSecrets" . -}}
{{ . }}
{{ end -}}
restartPolicy: OnFailure
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.agentWorkerDefaults.podSecurityContext }}
securityContext:
  {{- include "attune.podSecurityContext" (dict "root" $ "context" .) | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "attune.migratePod" -}}
{{ include "attune.jobPod" . }}
initContainers:
  {{- include "attune.waits" (dict "root" . "for" (list "database")) | trim | nindent 2 }}
containers:
  {{- include "attune.verb" (dict "root" . "name" "migrate" "args" (list "migrate") "access" true "resources" .Values.quickstart.resources) | nindent 2 }}
volumes:
  {{- include "attune.accessVolumes" . | nindent 2 }}
{{- end -}}

{{- define "attune.packsPod" -}}
{{- $args := list "pack" "register" -}}
{{- range .Values.quickstart.packs -}}
{{- $args = concat $args (list "--builtin" .) -}}
{{- end -}}
{{- $mounts := list (dict "name" "packs" "mountPath" "/opt/attune/packs") -}}
{{ include "attune.jobPod" . }}
initContainers:
  {{- include "attune.waits" (dict "root" . "for" (list "schema")) | trim | nindent 2 }}
containers:
  {{- include "attune.verb" (dict "root" . "name" "register" "args" $args "access" true "mounts" $mounts "resources" .Values.quickstart.resources) | nindent 2 }}
volumes:
  {{- include "attune.accessVolumes" . | nindent 2 }}
  {{- include "attune.sharedVolume" (dict "root" . "storage" "packs" "name" "packs") | nindent 2 }}
{{- end -}}
