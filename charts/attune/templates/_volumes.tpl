{{/*
What cannot be changed about volumes once they are there. A server refuses such an upgrade half-way; where the chart sees the
cluster, it is refused before anything is touched.
*/}}

{{/*
The claims that this chart makes as {claims: {name: {values, size, accessModes, class}}}, in JSON; values is where they are
described. One that no pod would mount is not made: where a storage class waits for the first pod, it would never be bound,
and `helm install --wait` never end.
*/}}
{{- define "attune.claims" -}}
{{- $claims := dict -}}
{{- $fallback := ternary "ReadWriteOnce" "ReadWriteMany" .Values.quickstart.enabled -}}
{{- $pools := or .Values.agentWorkers .Values.actionWorkers -}}
{{- range $storage, $for := dict "packs" "packs" "runtimeEnvs" "runtime-envs" "artifacts" "artifacts" -}}
{{- $claim := get $.Values.sharedStorage $storage -}}
{{- $mounted := or $pools (and $.Values.quickstart.enabled (eq $storage "packs")) -}}
{{- if and $mounted $claim.enabled (not $claim.existingClaim) -}}
{{- $modes := list ($claim.accessMode | default $.Values.sharedStorage.accessMode | default $fallback) -}}
{{- if and $claim.accessModes (not $claim.accessMode) -}}
{{- $modes = $claim.accessModes -}}
{{- end -}}
{{- $class := $claim.storageClassName | default $.Values.sharedStorage.storageClassName -}}
{{- $_ := set $claims (include "attune.name" (dict "root" $ "for" $for)) (dict "values" (printf "sharedStorage.%s" $storage) "size" (toString $claim.size) "accessModes" $modes "class" $class) -}}
{{- end -}}
{{- end -}}
{{- dict "claims" $claims | toJson -}}
{{- end -}}

{{/*
Refuses what a server would refuse.
*/}}
{{- define "attune.checkVolumes" -}}
{{- range $name, $claim := include "attune.claims" . | fromJson | dig "claims" dict -}}
{{- with (lookup "v1" "PersistentVolumeClaim" $.Release.Namespace $name | default dict).spec -}}
{{- $size := dig "resources" "requests" "storage" "" . -}}
{{- if and $size (lt (include "attune.bytes" $claim.size | float64) (include "attune.bytes" $size | float64)) -}}
{{- include "attune.refuse" (printf "%s.size: the claim %s has %s, and a claim never shrinks; set %s or more" $claim.values $name $size $size) -}}
{{- end -}}
{{- if and .accessModes (ne (join "," (sortAlpha .accessModes)) (join "," (sortAlpha $claim.accessModes))) -}}
{{- include "attune.refuse" (printf "%s: the claim %s was made with %s, which cannot change to %s; set %s.accessModes to what it has, or name another claim as existingClaim" $claim.values $name (join "," .accessModes) (join "," $claim.accessModes) $claim.values) -}}
{{- end -}}
{{- if and $claim.class .storageClassName (ne $claim.class .storageClassName) -}}
{{- include "attune.refuse" (printf "%s.storageClassName: the claim %s is of %s, which cannot change to %s" $claim.values $name .storageClassName $claim.class) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if .Values.quickstart.enabled -}}
{{- range $server := list "postgresql" "rabbitmq" -}}
{{- $values := get $.Values.quickstart $server -}}
{{- $name := include "attune.name" (dict "root" $ "for" $server "max" 52) -}}
{{- range dig "spec" "volumeClaimTemplates" list (lookup "apps/v1" "StatefulSet" $.Release.Namespace $name | default dict) -}}
{{- $way := printf "a StatefulSet's volumes cannot change. Set it back; for another one, uninstall, and delete the claim data-%s-0 with all that is on it" $name -}}
{{- $size := dig "spec" "resources" "requests" "storage" "" . -}}
{{- if and $size (ne (include "attune.bytes" (toString $values.size)) (include "attune.bytes" $size)) -}}
{{- include "attune.refuse" (printf "quickstart.%s.size: %s was made with %s, and %s" $server $name $size $way) -}}
{{- end -}}
{{- $class := dig "spec" "storageClassName" "" . -}}
{{- if ne $values.storageClassName $class -}}
{{- include "attune.refuse" (printf "quickstart.%s.storageClassName: %s was made with %q, and %s" $server $name $class $way) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/*
How many bytes a quantity is: 1Gi and 1024Mi are one.
*/}}
{{- define "attune.bytes" -}}
{{- $units := dict "m" 0.001 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "P" 1e15 "E" 1e18 "Ki" 1024.0 "Mi" 1048576.0 "Gi" 1073741824.0 "Ti" 1099511627776.0 "Pi" 1125899906842624.0 "Ei" 1152921504606846976.0 -}}
{{- $unit := regexFind "[A-Za-z]*$" . -}}
{{- printf "%.0f" (mulf (trimSuffix $unit . | float64) (get $units $unit | default 1.0)) -}}
{{- end -}}
