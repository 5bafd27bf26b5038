{{/*
A pod that tests a pool, with one container: `helm test --logs` shows what that one said, and nothing of those before it.
Takes root, pool, name, args, weight: those with a lower one come first.
*/}}
{{- define "attune.testPod" -}}
{{- $about := dict "root" .root "pool" .pool -}}
{{- $component := printf "test-%s-%s" .name .pool.component -}}
{{- $hook := dict "helm.sh/hook" "test" "helm.sh/hook-weight" (toString .weight) "helm.sh/hook-delete-policy" "before-hook-creation" -}}
apiVersion: v1
kind: Pod
metadata:
  {{- include "attune.metadata" (dict "root" .root "name" (include "attune.name" (dict "root" .root "for" $component)) "component" $component "annotations" $hook) | nindent 2 }}
spec:
  {{- include "attune.workerPlacement" $about | trim | nindent 2 }}
  restartPolicy: Never
  activeDeadlineSeconds: 300
  {{- if eq .pool.injection "initContainer" }}
  initContainers:
    {{- include "attune.loader" .root | nindent 4 }}
  {{- end }}
  containers:
    {{- include "attune.workerContainer" (merge (dict "name" .name "args" .args) $about) | nindent 4 }}
  volumes:
    {{- include "attune.workerVolumes" $about | nindent 4 }}
{{- end -}}
