{{/*
Where credentials come from, and how a container is given them.

Each credential is a setting of the agent that stands in a key of a secret. What is given in values is in the chart's own
secret; everything else is in a secret that is there already, or in the one that the quickstart makes.
*/}}

{{/*
Every credential as {variable: {secret, key}}, in JSON. Fails where there is a pool and no database or no broker for it.
*/}}
{{- define "attune.credentials" -}}
{{- $found := dict -}}
{{- $existing := .Values.security.existingSecret -}}
{{- $own := include "attune.name" (dict "root" . "for" "secrets") -}}
{{- $quickstart := include "attune.name" (dict "root" . "for" "quickstart") -}}
{{- range $server := include "attune.servers" . | fromJson | dig "servers" list -}}
{{- $values := get $.Values $server.values -}}
{{- $url := printf "ATTUNE__%s__URL" $server.setting -}}
{{- $given := or $values.url $values.host $values.existingSecret -}}
{{- if and $.Values.quickstart.enabled $given -}}
{{- include "attune.refuse" (printf "quickstart.enabled: it brings a server of its own, and %s names another; leave %s.url, %s.host and %s.existingSecret empty" $server.values $server.values $server.values $server.values) -}}
{{- else if $.Values.quickstart.enabled -}}
{{- if or (get $values.tls "enabled") (get $values.tls "mode") -}}
{{- include "attune.refuse" (printf "%s.tls: the %s of quickstart.enabled speaks no TLS" $server.values $server.what) -}}
{{- end -}}
{{- $_ := set $found $url (dict "secret" $quickstart "key" $url) -}}
{{- else if $values.existingSecret -}}
{{- if $values.passwordKey -}}
{{- if not $values.host -}}
{{- include "attune.refuse" (printf "%s.host: it is empty, and %s.passwordKey says that %s.existingSecret holds the password alone" $server.values $server.values $server.values) -}}
{{- end -}}
{{- $_ := set $found (printf "ATTUNE__%s__PASSWORD" $server.setting) (dict "secret" $values.existingSecret "key" $values.passwordKey) -}}
{{- else -}}
{{- $_ := set $found $url (dict "secret" $values.existingSecret "key" $values.urlKey) -}}
{{- end -}}
{{- else if $values.url -}}
{{- $_ := set $found $url (dict "secret" $own "key" $url) -}}
{{- else if $values.host -}}
{{- if not $values.password -}}
{{- include "attune.refuse" (printf "%s.password: it is empty, and %s.host is set; give the password, or a secret with it as %s.existingSecret and %s.passwordKey" $server.values $server.values $server.values $server.values) -}}
{{- end -}}
{{- $_ := set $found $url (dict "secret" $own "key" $url) -}}
{{- else if $existing -}}
{{- $_ := set $found $url (dict "secret" $existing "key" $url) -}}
{{- else if or $.Values.agentWorkers $.Values.actionWorkers -}}
{{- include "attune.refuse" (printf "%s: there is no %s; set %s.url, %s.host or %s.existingSecret, or security.existingSecret to the secret of an Attune release, or quickstart.enabled for a system without one" $server.values $server.what $server.values $server.values $server.values) -}}
{{- end -}}
{{- end -}}
{{- range $name, $variable := dict "jwtSecret" "ATTUNE__SECURITY__JWT_SECRET" "encryptionKey" "ATTUNE__SECURITY__ENCRYPTION_KEY" -}}
{{- $key := get $.Values.security.keys $name -}}
{{- if get $.Values.security $name -}}
{{- $_ := set $found $variable (dict "secret" $own "key" $variable) -}}
{{- else if and $existing $key -}}
{{- $_ := set $found $variable (dict "secret" $existing "key" $key) -}}
{{- else if $.Values.quickstart.enabled -}}
{{- $_ := set $found $variable (dict "secret" $quickstart "key" $variable) -}}
{{- end -}}
{{- end -}}
{{- toJson $found -}}
{{- end -}}

{{/*
The two servers: where their values are, what their settings are called, what they are.
*/}}
{{- define "attune.servers" -}}
{{- dict "servers" (list
  (dict "values" "database" "setting" "DATABASE" "what" "database")
  (dict "values" "rabbitmq" "setting" "MESSAGE_QUEUE" "what" "broker")) | toJson -}}
{{- end -}}

{{/*
What the chart's own secret holds, in JSON: credentials that are given in values, under the variables that they are.
*/}}
{{- define "attune.ownCredentials" -}}
{{- $held := dict -}}
{{- $own := include "attune.name" (dict "root" . "for" "secrets") -}}
{{- range $variable, $place := include "attune.credentials" . | fromJson -}}
{{- if eq $place.secret $own -}}
{{- $value := "" -}}
{{- if eq $variable "ATTUNE__DATABASE__URL" -}}
{{- $value = $.Values.database.url | default (include "attune.databaseUrl" (dict "of" $.Values.database "password" true)) -}}
{{- else if eq $variable "ATTUNE__MESSAGE_QUEUE__URL" -}}
{{- $value = $.Values.rabbitmq.url | default (include "attune.brokerUrl" (dict "of" $.Values.rabbitmq "password" true)) -}}
{{- else if eq $variable "ATTUNE__SECURITY__JWT_SECRET" -}}
{{- $value = $.Values.security.jwtSecret -}}
{{- else -}}
{{- $value = $.Values.security.encryptionKey -}}
{{- end -}}
{{- $_ := set $held $variable $value -}}
{{- end -}}
{{- end -}}
{{- toJson $held -}}
{{- end -}}

{{/*
Text as a part of a URL. `urlquery` writes a blank as a plus, which outside of queries is a plus.
*/}}
{{- define "attune.urlPart" -}}
{{- . | toString | urlquery | replace "+" "%20" -}}
{{- end -}}

{{/*
Who connects, as a URL has it. Takes of, password: whether it is to be in it.
*/}}
{{- define "attune.urlAccount" -}}
{{- include "attune.urlPart" .of.username -}}
{{- if .password }}:{{ include "attune.urlPart" .of.password }}{{ end -}}
{{- end -}}

{{/*
A URL from the parts of `database`. Takes of, password.
*/}}
{{- define "attune.databaseUrl" -}}
{{- printf "postgres://%s@%s:%d/%s" (include "attune.urlAccount" .) .of.host (int .of.port) (include "attune.urlPart" .of.database) -}}
{{- with .of.tls.mode }}?sslmode={{ . }}{{ end -}}
{{- end -}}

{{/*
A URL from the parts of `rabbitmq`. Takes of, password.
*/}}
{{- define "attune.brokerUrl" -}}
{{- $scheme := ternary "amqps" "amqp" .of.tls.enabled -}}
{{- printf "%s://%s@%s:%s/%s" $scheme (include "attune.urlAccount" .) .of.host (include "attune.brokerPort" .of) (include "attune.urlPart" .of.vhost) -}}
{{- end -}}

{{- define "attune.brokerPort" -}}
{{- .port | default (ternary 5671 5672 .tls.enabled) | int -}}
{{- end -}}

{{/*
What leads the agent to its servers, for every container of it: {env, envFrom, files} in JSON. The files are the sources of
the projected volume `credentials`.
*/}}
{{- define "attune.access" -}}
{{- $directory := "/opt/attune/credentials" -}}
{{- $credentials := include "attune.credentials" . | fromJson -}}
{{- $env := list
  (dict "name" "ATTUNE_CONFIG" "value" "/opt/attune/config.yaml")
  (dict "name" "ATTUNE__DATABASE__SCHEMA" "value" .Values.database.schema) -}}
{{- with .Values.api.url -}}
{{- $env = append $env (dict "name" "ATTUNE_API_URL" "value" .) -}}
{{- end -}}
{{- /* The agent puts a password from a secret into the URL that has none. */ -}}
{{- if hasKey $credentials "ATTUNE__DATABASE__PASSWORD" -}}
{{- $env = append $env (dict "name" "ATTUNE__DATABASE__URL" "value" (include "attune.databaseUrl" (dict "of" .Values.database))) -}}
{{- end -}}
{{- if hasKey $credentials "ATTUNE__MESSAGE_QUEUE__PASSWORD" -}}
{{- $env = append $env (dict "name" "ATTUNE__MESSAGE_QUEUE__URL" "value" (include "attune.brokerUrl" (dict "of" .Values.rabbitmq))) -}}
{{- end -}}
{{- $secrets := list -}}
{{- $items := dict -}}
{{- range $variable, $place := $credentials -}}
{{- if eq $.Values.credentials.mode "files" -}}
{{- $env = append $env (dict "name" (printf "%s_FILE" $variable) "value" (printf "%s/%s" $directory $variable)) -}}
{{- $_ := set $items $place.secret (append (get $items $place.secret | default list) (dict "key" $place.key "path" $variable)) -}}
{{- else if eq $place.key $variable -}}
{{- $secrets = append $secrets $place.secret -}}
{{- else -}}
{{- $env = append $env (dict "name" $variable "valueFrom" (dict "secretKeyRef" (dict "name" $place.secret "key" $place.key))) -}}
{{- end -}}
{{- end -}}
{{- $authorities := dict "DATABASE" .Values.database.tls "MESSAGE_QUEUE" .Values.rabbitmq.tls "API" .Values.api -}}
{{- range $section, $tls := $authorities -}}
{{- if $tls.caSecret -}}
{{- $file := printf "%s-ca.crt" ($section | lower | replace "_" "-") -}}
{{- $env = append $env (dict "name" (printf "ATTUNE__%s__CA_FILE" $section) "value" (printf "%s/%s" $directory $file)) -}}
{{- $_ := set $items $tls.caSecret (append (get $items $tls.caSecret | default list) (dict "key" $tls.caKey "path" $file)) -}}
{{- end -}}
{{- end -}}
{{- $files := list -}}
{{- range $secret, $held := $items -}}
{{- $files = append $files (dict "secret" (dict "name" $secret "items" $held)) -}}
{{- end -}}
{{- $envFrom := list -}}
{{- range uniq $secrets -}}
{{- $envFrom = append $envFrom (dict "secretRef" (dict "name" .)) -}}
{{- end -}}
{{- dict "env" $env "envFrom" $envFrom "files" $files | toJson -}}
{{- end -}}
