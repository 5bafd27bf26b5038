{{/*
Names and labels.
*/}}

{{- define "attune.chart" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "attune.fullname" -}}
{{- .Values.fullnameOverride | default (printf "%s-%s" .Release.Name (include "attune.chart" .)) | trimSuffix "-" -}}
{{- end -}}

{{/*
A name of at most `max` characters. One that is cut ends with a checksum of the whole: two names that begin alike stay two.
Takes name, max.
*/}}
{{- define "attune.bounded" -}}
{{- if gt (len .name) (int .max) -}}
{{- printf "%s-%s" (.name | trunc (int (sub .max 9)) | trimSuffix "-") (.name | sha256sum | trunc 8) -}}
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
What tells the pods of one component from all others; never changes. Takes root, component.
*/}}
{{- define "attune.selector" -}}
app.kubernetes.io/name: {{ include "attune.chart" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/*
The labels of an object. Takes root, and component where it belongs to one.
*/}}
{{- define "attune.labels" -}}
{{- $version := .root.Values.images.agent.tag | default .root.Values.global.imageTag | default .root.Chart.AppVersion -}}
{{- $labels := dict
  "helm.sh/chart" (printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-")
  "app.kubernetes.io/name" (include "attune.chart" .root)
  "app.kubernetes.io/instance" .root.Release.Name
  "app.kubernetes.io/version" ($version | toString | replace "+" "_" | trunc 63)
  "app.kubernetes.io/managed-by" .root.Release.Service
  "app.kubernetes.io/part-of" "attune" -}}
{{- if .component -}}
{{- $_ := set $labels "app.kubernetes.io/component" .component -}}
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
