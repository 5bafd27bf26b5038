{{/*
Names and labels.
*/}}

{{- define "attune.chart" -}}
{{- .Values.nameOverride | default .Chart.Name -}}
{{- end -}}

{{- define "attune.fullname" -}}
{{- .Values.fullnameOverride | default (printf "%s-%s" .Release.Name (include "attune.chart" .)) -}}
{{- end -}}

{{/*
A name of at most `max` characters: all names and values of labels are cut here and nowhere else. One that is cut ends with a
checksum of the whole: two names that begin alike stay two, and none ends with what a server refuses at the end. Takes name,
max.
*/}}
{{- define "attune.bounded" -}}
{{- if gt (len .name) (int .max) -}}
{{- printf "%s-%s" (.name | trunc (int (sub .max 9)) | regexFind "^.*[A-Za-z0-9]") (.name | sha256sum | trunc 8) -}}
{{- else -}}
{{- .name -}}
{{- end -}}
{{- end -}}

{{/*
The name of an object: the full name and what the object is for. Takes root, for; and max where 63 is too much.
*/}}
{{- define "attune.name" -}}
{{- include "attune.bounded" (dict "name" (printf "%s-%s" (include "attune.fullname" .root) .for) "max" (.max | default 63)) -}}
{{- end -}}

{{/*
Text as the value of a label.
*/}}
{{- define "attune.label" -}}
{{- include "attune.bounded" (dict "name" (regexReplaceAll "[^-A-Za-z0-9_.]" . "_") "max" 63) -}}
{{- end -}}

{{/*
What tells the pods of one component from all others; never changes. Takes root, component.
*/}}
{{- define "attune.selector" -}}
app.kubernetes.io/name: {{ include "attune.label" (include "attune.chart" .root) }}
app.kubernetes.io/instance: {{ include "attune.label" .root.Release.Name }}
app.kubernetes.io/component: {{ include "attune.label" .component }}
{{- end -}}

{{/*
The labels of an object. Takes root, and component where it belongs to one.
*/}}
{{- define "attune.labels" -}}
{{- $version := .root.Values.images.agent.tag | default .root.Values.global.imageTag | default .root.Chart.AppVersion -}}
{{- $labels := dict
  "helm.sh/chart" (include "attune.label" (printf "%s-%s" .root.Chart.Name .root.Chart.Version))
  "app.kubernetes.io/name" (include "attune.label" (include "attune.chart" .root))
  "app.kubernetes.io/instance" (include "attune.label" .root.Release.Name)
  "app.kubernetes.io/version" (include "attune.label" (toString $version))
  "app.kubernetes.io/managed-by" .root.Release.Service
  "app.kubernetes.io/part-of" "attune" -}}
{{- if .component -}}
{{- $_ := set $labels "app.kubernetes.io/component" (include "attune.label" .component) -}}
{{- end -}}
{{- merge $labels .root.Values.commonLabels | toYaml -}}
{{- end -}}

{{/*
The labels of pods: only what is the same for every version, so that a new chart alone replaces no pod. Takes root,
component; and more where there are some.
*/}}
{{- define "attune.podLabels" -}}
{{- $selector := include "attune.selector" . | fromYaml -}}
{{- merge $selector (.more | default dict) .root.Values.commonLabels | toYaml -}}
{{- end -}}

{{/*
The metadata of an object. Takes root, name; and component, annotations where there are some.
*/}}
{{- define "attune.metadata" -}}
name: {{ .name }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "attune.labels" . | nindent 2 }}
{{- with merge (dict) (.annotations | default dict) .root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
