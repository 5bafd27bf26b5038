{{/*
A pod that tests a pool, with one container: of several, Helm shows the log of one. Helm 4, and 3.18, show it by themselves;
no uninstallation finds such a pod, so that one which ended well is deleted at once, and one that did not stays to be looked
at. Takes root, pool, name, args, weight: those with a lower one come first.
*/}}
{{- define "attune.testPod" -}}
{{- $about := dict "root" .root "pool" .pool -}}
{{- $component := printf "test-%s-%s" .name .pool.component -}}
{{- $hook := dict "helm.sh/hook" "test" "helm.sh/hook-weight" (toString .weight) "helm.sh/hook-delete-policy" "before-hook-creation,hook-succeeded" "helm.sh/hook-output-log-policy" "hook-failed,hook-succeeded" -}}
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
