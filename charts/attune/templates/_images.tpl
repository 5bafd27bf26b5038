{{/*
Whether a repository begins with its registry, as container engines tell: a name with a dot or a port, or localhost. Empty
where it does not.
*/}}
{{- define "attune.namesRegistry" -}}
{{- if regexMatch "^([^/]*[.:][^/]*|localhost)/" . }}yes{{ end -}}
{{- end -}}

{{/*
The agent's image.
*/}}
{{- define "attune.image" -}}
{{- $image := .Values.images.agent -}}
{{- $path := $image.repository -}}
{{- if not (include "attune.namesRegistry" $path) -}}
{{- $path = without (list ($image.registry | default .Values.global.imageRegistry) .Values.global.imageNamespace $path) "" | join "/" -}}
{{- end -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $path $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $path ($image.tag | default .Values.global.imageTag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{/*
Secrets for pulling images, given as names or as objects.
*/}}
{{- define "attune.imagePullSecrets" -}}
{{- with .Values.global.imagePullSecrets -}}
imagePullSecrets:
{{- range . }}
  - name: {{ if kindIs "string" . }}{{ . }}{{ else }}{{ .name }}{{ end }}
{{- end }}
{{- end -}}
{{- end -}}
