{{/*
A worker's container and pod: what the pods of a pool, and those that test it, have in common.
*/}}

{{/*
A worker's variables, {env, envFrom} in JSON. One that the pool sets itself replaces the chart's. Takes root, pool.
*/}}
{{- define "attune.workerVariables" -}}
{{- $pool := .pool -}}
{{- $access := include "attune.access" .root | fromJson -}}
{{- $env := concat $access.env (list
  (dict "name" "ATTUNE_WORKER_NAME" "valueFrom" (dict "fieldRef" (dict "fieldPath" "metadata.name")))
  (dict "name" "ATTUNE_WORKER_TYPE" "value" "container")
  (dict "name" "ATTUNE__WORKER__LABELS" "value" (toJson $pool.labels))
  (dict "name" "ATTUNE__WORKER__SHUTDOWN_TIMEOUT" "value" (toString $pool.drain))
  (dict "name" "ATTUNE_WORK_DIR" "value" "/opt/attune/work/agent")
  (dict "name" "HOME" "value" "/opt/attune/work")
  (dict "name" "TMPDIR" "value" "/opt/attune/work")
  (dict "name" "RUST_LOG" "value" ($pool.logLevel | default "info"))) -}}
{{- with $pool.runtimes -}}
{{- $env = append $env (dict "name" "ATTUNE_WORKER_RUNTIMES" "value" (join "," .)) -}}
{{- end -}}
{{- with $pool.taints -}}
{{- $env = append $env (dict "name" "ATTUNE__WORKER__TAINTS" "value" (toJson .)) -}}
{{- end -}}
{{- with $pool.concurrency -}}
{{- $env = append $env (dict "name" "ATTUNE__WORKER__MAX_CONCURRENT_TASKS" "value" (. | int | toString)) -}}
{{- end -}}
{{- $own := list -}}
{{- range $pool.env -}}
{{- $own = append $own .name -}}
{{- end -}}
{{- $kept := list -}}
{{- range $env -}}
{{- if not (has .name $own) -}}
{{- $kept = append $kept . -}}
{{- end -}}
{{- end -}}
{{- dict "env" (concat $kept ($pool.env | default list)) "envFrom" (concat $access.envFrom ($pool.envFrom | default list)) | toJson -}}
{{- end -}}

{{/*
A container of the pool's image with the agent as its entry point, up to its mounts. Takes root, pool, name, args.
*/}}
{{- define "attune.workerContainer" -}}
{{- $pool := .pool -}}
{{- $variables := include "attune.workerVariables" . | fromJson -}}
- name: {{ .name }}
  image: {{ $pool.image | quote }}
  {{- with $pool.imagePullPolicy }}
  imagePullPolicy: {{ . }}
  {{- end }}
  command: [{{ include "attune.program" . | quote }}]
  {{- with .args }}
  args: {{ toJson . }}
  {{- end }}
  {{- with $pool.securityContext }}
  securityContext:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $variables.envFrom }}
  envFrom:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  env:
    {{- toYaml $variables.env | nindent 4 }}
  {{- with include "attune.workerResources" (dict "pool" $pool "gpu" (eq .name "worker")) | fromJson }}
  resources:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  volumeMounts:
    - name: agent-bin
      mountPath: /opt/attune/agent
      readOnly: true
    {{- include "attune.accessMounts" .root | nindent 4 }}
    - name: packs
      mountPath: /opt/attune/packs
      {{- /* Without a shared volume, the worker fetches them itself. */}}
      {{- if .root.Values.sharedStorage.packs.enabled }}
      readOnly: true
      {{- end }}
    - name: runtime-envs
      mountPath: /opt/attune/runtime_envs
    - name: artifacts
      mountPath: /opt/attune/artifacts
    - name: work
      mountPath: /opt/attune/work
    {{- if ($pool.securityContext | default dict).readOnlyRootFilesystem }}
    - name: tmp
      mountPath: /tmp
    {{- end }}
    {{- if $pool.hints }}
    - name: hints
      mountPath: /.attune-runtime.yaml
      subPath: hints.yaml
      readOnly: true
    {{- end }}
    {{- with $pool.extraVolumeMounts }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}

{{/*
Resources in JSON, with graphics processors among the limits. What tests the pool asks for none: all may be in use.
Takes pool, gpu.
*/}}
{{- define "attune.workerResources" -}}
{{- $resources := deepCopy (.pool.resources | default dict) -}}
{{- if and .gpu .pool.gpu.count -}}
{{- $limits := merge (dict) ($resources.limits | default dict) (dict .pool.gpu.resourceName (int .pool.gpu.count)) -}}
{{- $_ := set $resources "limits" $limits -}}
{{- end -}}
{{- toJson $resources -}}
{{- end -}}

{{/*
The fields of a worker's pod that say who it is and where it runs. Takes root, pool.
*/}}
{{- define "attune.workerPlacement" -}}
{{- $pool := .pool -}}
{{- with include "attune.imagePullSecrets" .root }}
{{ . }}
{{- end }}
{{- with include "attune.serviceAccountName" .pool }}
serviceAccountName: {{ . }}
{{- end }}
automountServiceAccountToken: {{ $pool.serviceAccount.automount }}
# Variables for every service of the namespace would be seen by every action.
enableServiceLinks: false
{{- with $pool.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
{{- with $pool.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $pool.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with include "attune.workerTolerations" $pool | fromJson | dig "tolerations" list }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $pool.podSecurityContext }}
securityContext:
  {{- include "attune.podSecurityContext" (dict "root" $.root "context" .) | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "attune.serviceAccountName" -}}
{{- .serviceAccount.name | default (ternary .fullName "" .serviceAccount.create) -}}
{{- end -}}

{{/*
The pool's tolerations, and the one that nodes with graphics processors ask for.
*/}}
{{- define "attune.workerTolerations" -}}
{{- $tolerations := .tolerations | default list -}}
{{- if .gpu.count -}}
{{- $tolerations = append $tolerations (dict "key" .gpu.resourceName "operator" "Exists" "effect" "NoSchedule") -}}
{{- end -}}
{{- dict "tolerations" (uniq $tolerations) | toJson -}}
{{- end -}}

{{/*
The volumes of a worker's pod. Takes root, pool.
*/}}
{{- define "attune.workerVolumes" -}}
{{- $pool := .pool -}}
- name: agent-bin
{{- if eq $pool.injection "imageVolume" }}
  image:
    reference: {{ include "attune.image" .root | quote }}
    pullPolicy: {{ .root.Values.images.agent.pullPolicy }}
{{- else }}
  emptyDir: {}
{{- end }}
{{ include "attune.accessVolumes" .root }}
{{ include "attune.sharedVolume" (dict "root" .root "storage" "packs" "name" "packs") }}
{{ include "attune.sharedVolume" (dict "root" .root "storage" "runtimeEnvs" "name" "runtime-envs") }}
{{ include "attune.sharedVolume" (dict "root" .root "storage" "artifacts" "name" "artifacts") }}
- name: work
  emptyDir:
    {{- with $pool.workdir.medium }}
    medium: {{ . }}
    {{- end }}
    sizeLimit: {{ $pool.workdir.sizeLimit }}
{{- if ($pool.securityContext | default dict).readOnlyRootFilesystem }}
- name: tmp
  emptyDir:
    sizeLimit: {{ $pool.workdir.sizeLimit }}
{{- end }}
{{- if $pool.hints }}
- name: hints
  configMap:
    name: {{ $pool.fullName }}
{{- end }}
{{- with $pool.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/*
A probe that the agent answers itself. Takes probe, ask: live or ready.
*/}}
{{- define "attune.probe" -}}
exec:
  command: [{{ include "attune.program" . | quote }}, "health", {{ .ask | quote }}]
{{- with omit .probe "exec" }}
{{ toYaml . }}
{{- end }}
{{- end -}}
