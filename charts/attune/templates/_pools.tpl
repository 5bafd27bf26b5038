{{/*
The pools: each an entry of `agentWorkers` or `actionWorkers` on top of `agentWorkerDefaults`, checked for what a schema cannot say.
*/}}

{{/*
Lays one map on another, in place: maps are merged, everything else replaced, null takes away. Takes onto, from.
*/}}
{{- define "attune.overlay" -}}
{{- $onto := .onto -}}
{{- range $key, $value := .from -}}
{{- if kindIs "invalid" $value -}}
{{- $_ := unset $onto $key -}}
{{- else if and (kindIs "map" $value) (kindIs "map" (get $onto $key)) -}}
{{- include "attune.overlay" (dict "onto" (get $onto $key) "from" $value) -}}
{{- else -}}
{{- $_ := set $onto $key $value -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/*
All pools as {pools: […]} in JSON. To its fields, each pool is given
  component   what its pods' selector has
  fullName    the name of its Deployment, and of all that goes with it
  labels      with `pool` and `release`
  drain       seconds that running executions have
*/}}
{{- define "attune.pools" -}}
{{- $root := . -}}
{{- $pools := list -}}
{{- $places := dict -}}
{{- range $list := list "agentWorkers" "actionWorkers" -}}
{{- range $index, $given := index $root.Values $list -}}
{{- $pool := deepCopy $root.Values.agentWorkerDefaults -}}
{{- include "attune.overlay" (dict "onto" $pool "from" $given) -}}
{{- $where := printf "%s[%d]" $list $index -}}
{{- $id := $pool.name | lower | replace "_" "-" -}}
{{- if hasKey $places $id -}}
{{- include "attune.refuse" (printf "%s.name: %s is the name of %s too; each pool needs one of its own, in which upper and lower case, - and _ are the same" $where $pool.name (get $places $id)) -}}
{{- end -}}
{{- $_ := set $places $id $where -}}
{{- $component := printf "agent-worker-%s" $id -}}
{{- $_ := set $pool "component" $component -}}
{{- $_ := set $pool "fullName" (include "attune.name" (dict "root" $root "for" $component)) -}}
{{- $_ := set $pool "labels" (merge (dict) ($pool.labels | default dict) (dict "pool" $id "release" $root.Release.Name)) -}}
{{- $_ := set $pool "drain" (int ($pool.drainTimeout | default (max 1 (sub (int $pool.stopGracePeriod) 10)))) -}}
{{- include "attune.checkPool" (dict "root" $root "pool" $pool "where" $where) -}}
{{- $pools = append $pools $pool -}}
{{- end -}}
{{- end -}}
{{- dict "pools" $pools | toJson -}}
{{- end -}}

{{/*
How many pods a pool has. Where something else counts them, as many as there are: a field that is left out after it was there
goes to 1, and all other pods would end until that something acts. Nothing where no pool is there yet, or none is seen. Takes
root, pool.
*/}}
{{- define "attune.replicas" -}}
{{- $scaling := .pool.autoscaling -}}
{{- if not $scaling.enabled -}}
{{- int .pool.replicas -}}
{{- else -}}
{{- with (lookup "apps/v1" "Deployment" .root.Release.Namespace .pool.fullName | default dict).spec -}}
{{- if hasKey . "replicas" -}}
{{- min (int $scaling.maxReplicas) (max (int $scaling.minReplicas) (int .replicas)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/*
Fails where fields of a pool do not go together. Takes root, pool, where.
*/}}
{{- define "attune.checkPool" -}}
{{- $pool := .pool -}}
{{- $where := .where -}}
{{- if ge $pool.drain (int $pool.stopGracePeriod) -}}
{{- include "attune.refuse" (printf "%s.drainTimeout: %d s is not less than stopGracePeriod, %d s, after which the pod is killed with all that runs in it; raise stopGracePeriod" $where $pool.drain (int $pool.stopGracePeriod)) -}}
{{- end -}}
{{- $seen := list -}}
{{- range $pool.env -}}
{{- if has .name $seen -}}
{{- include "attune.refuse" (printf "%s.env: %s is there twice" $where .name) -}}
{{- end -}}
{{- $seen = append $seen .name -}}
{{- end -}}
{{- range $pool.extraVolumes -}}
{{- if has .name (list "agent-bin" "config" "credentials" "packs" "runtime-envs" "artifacts" "work" "hints" "tmp") -}}
{{- include "attune.refuse" (printf "%s.extraVolumes: %s is the name of a volume of the chart; call yours something else" $where .name) -}}
{{- end -}}
{{- end -}}
{{- $scaling := $pool.autoscaling -}}
{{- if $scaling.enabled -}}
{{- $cpu := or (dig "requests" "cpu" "" ($pool.resources | default dict)) (dig "limits" "cpu" "" ($pool.resources | default dict)) -}}
{{- if and (eq $scaling.type "hpa") (not $scaling.metrics) (not $cpu) -}}
{{- include "attune.refuse" (printf "%s.autoscaling: processor time is measured against resources.requests.cpu, which is not set; set it, or autoscaling.metrics" $where) -}}
{{- end -}}
{{- if gt (int $scaling.minReplicas) (int $scaling.maxReplicas) -}}
{{- include "attune.refuse" (printf "%s.autoscaling.minReplicas: %d is more than maxReplicas, %d" $where (int $scaling.minReplicas) (int $scaling.maxReplicas)) -}}
{{- end -}}
{{- if eq (int $scaling.minReplicas) 0 -}}
{{- if eq $scaling.type "hpa" -}}
{{- include "attune.refuse" (printf "%s.autoscaling.minReplicas: a HorizontalPodAutoscaler keeps one pod at least; autoscaling.type keda can do with none" $where) -}}
{{- else if not $scaling.keda.triggers -}}
{{- include "attune.refuse" (printf "%s.autoscaling.minReplicas: with no pod, no execution is given to the pool, and its own trigger never fires; set autoscaling.keda.triggers, or keep one pod" $where) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $version := .root.Values.kubeVersionOverride | default .root.Capabilities.KubeVersion.Version -}}
{{- if and (eq $pool.injection "imageVolume") (semverCompare "<1.31-0" $version) -}}
{{- include "attune.refuse" (printf "%s.injection: imageVolume needs Kubernetes 1.33, or 1.31 with the feature gate ImageVolume, and this is %s; initContainer works everywhere" $where $version) -}}
{{- end -}}
{{- end -}}
