{{/*
What every workload of the chart that runs the agent is made of.
*/}}

{{/*
Where the agent's program is in every container that did not come with it.
*/}}
{{- define "attune.program" -}}
/opt/attune/agent/attune-agent
{{- end -}}

{{/*
The security context of containers of the agent's own image, which need nothing at all.
*/}}
{{- define "attune.agentSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop:
    - ALL
{{- end -}}

{{/*
A pod's security context; on OpenShift without users and groups. Takes root, context.
*/}}
{{- define "attune.podSecurityContext" -}}
{{- $context := .context -}}
{{- if .root.Values.global.openshift -}}
{{- $context = omit $context "runAsUser" "runAsGroup" "fsGroup" "supplementalGroups" -}}
{{- end -}}
{{- toYaml $context -}}
{{- end -}}

{{/*
A container of the agent's image that runs one verb. Takes root, name, args; access: whether it speaks to the servers; and
mounts beside those.
*/}}
{{- define "attune.verb" -}}
- name: {{ .name }}
  image: {{ include "attune.image" .root | quote }}
  imagePullPolicy: {{ .root.Values.images.agent.pullPolicy }}
  command: ["/attune-agent"]
  args: {{ toJson .args }}
  securityContext:
    {{- include "attune.agentSecurityContext" .root | nindent 4 }}
  {{- if .access }}
  {{- $access := include "attune.access" .root | fromJson }}
  {{- with $access.envFrom }}
  envFrom:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  env:
    {{- toYaml $access.env | nindent 4 }}
  {{- end }}
  {{- with .resources | default .root.Values.wait.resources }}
  resources:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if or .mounts .access }}
  volumeMounts:
    {{- with .mounts }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    {{- if .access }}
    {{- include "attune.accessMounts" .root | nindent 4 }}
    {{- end }}
  {{- end }}
{{- end -}}

{{/*
Mounts of the configuration and of what leads to the servers.
*/}}
{{- define "attune.accessMounts" -}}
- name: config
  mountPath: /opt/attune/config.yaml
  subPath: config.yaml
  readOnly: true
{{- if (include "attune.access" . | fromJson).files }}
- name: credentials
  mountPath: /opt/attune/credentials
  readOnly: true
{{- end }}
{{- end -}}

{{/*
The volumes of those mounts.
*/}}
{{- define "attune.accessVolumes" -}}
- name: config
  configMap:
    name: {{ .Values.existingConfigMap | default (include "attune.name" (dict "root" . "for" "config")) }}
{{- with (include "attune.access" . | fromJson).files }}
- name: credentials
  projected:
    # 0444: readable by whatever user the image or the cluster chooses; nobody else is in the pod.
    defaultMode: 292
    sources:
      {{- toYaml . | nindent 6 }}
{{- end }}
{{- end -}}

{{/*
A volume that workers share: the claim, or an emptyDir where it is not enabled. Takes root, storage, name.
*/}}
{{- define "attune.sharedVolume" -}}
{{- $storage := get .root.Values.sharedStorage .storage -}}
- name: {{ .name }}
{{- if $storage.enabled }}
  persistentVolumeClaim:
    claimName: {{ $storage.existingClaim | default (include "attune.name" (dict "root" .root "for" .name)) }}
{{- else }}
  emptyDir: {}
{{- end }}
{{- end -}}

{{/*
The init container that brings the agent into the pod.
*/}}
{{- define "attune.loader" -}}
{{- $mounts := list (dict "name" "agent-bin" "mountPath" "/opt/attune/agent") -}}
{{- include "attune.verb" (dict "root" . "name" "agent-loader" "args" (list "install" "/opt/attune/agent") "mounts" $mounts) -}}
{{- end -}}

{{/*
Init containers that wait: one for each of database, schema, packs and queue that is asked for, so that the pod's status
names what is missing. Takes root, for.
*/}}
{{- define "attune.waits" -}}
{{- $root := .root -}}
{{- range .for }}
{{- $args := list "wait" . -}}
{{- if $root.Values.wait.timeout -}}
{{- $args = concat $args (list "--timeout" ($root.Values.wait.timeout | int | toString)) -}}
{{- end -}}
{{- $mounts := list -}}
{{- if eq . "packs" -}}
{{- $mounts = list (dict "name" "packs" "mountPath" "/opt/attune/packs" "readOnly" true) -}}
{{- end }}
{{ include "attune.verb" (dict "root" $root "name" (printf "wait-for-%s" .) "args" $args "access" true "mounts" $mounts) }}
{{- end }}
{{- end -}}

{{/*
What a worker waits for. Without a shared volume, the packs come later, through the API.
*/}}
{{- define "attune.workerWaits" -}}
{{- $for := ternary (list "schema" "packs" "queue") (list "schema" "queue") .Values.sharedStorage.packs.enabled -}}
{{- include "attune.waits" (dict "root" . "for" $for) -}}
{{- end -}}
