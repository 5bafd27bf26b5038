{{/*
What is refused before anything is rendered, because a schema cannot say it, or not in a sentence.
*/}}

{{/*
Ends with a sentence, and no trace of templates behind it.
*/}}
{{- define "attune.refuse" -}}
{{- /* Of all that ends a rendering, both majors of Helm show this one by its sentence alone. */ -}}
{{- required . "" -}}
{{- /* Their linters pass over it; that of Helm 3 ends here, and that of Helm 4 where a template is not there. */ -}}
{{- fail . -}}
{{- include . $ -}}
{{- end -}}

{{/*
Everything that is checked, the simplest first. What stands with its subject is asked for it here too, and what else it says is
thrown away: so all that is refused is refused in this place, before the templates that would be in the way of the sentence.
*/}}
{{- define "attune.validate" -}}
{{- include "attune.checkSections" . -}}
{{- include "attune.checkImage" . -}}
{{- $_ := include "attune.config" . -}}
{{- $_ := include "attune.credentials" . -}}
{{- include "attune.checkPacks" . -}}
{{- $_ := include "attune.pools" . -}}
{{- include "attune.checkVolumes" . -}}
{{- end -}}

{{/*
Refuses an agent of which nobody said where it comes from: without a registry, a cluster would take what somebody has put under
this name on a public one.
*/}}
{{- define "attune.checkImage" -}}
{{- $image := .Values.images.agent -}}
{{- $named := or $image.registry .Values.global.imageRegistry (include "attune.namesRegistry" $image.repository) -}}
{{- if and (or .Values.agentWorkers .Values.actionWorkers .Values.quickstart.enabled) (not $named) -}}
{{- include "attune.refuse" (printf "images.agent.repository: %s has no registry, and a cluster would take whatever a public one has under this name; set it to where your image of the agent is, as in git.example.com/team/attune/agent, or set global.imageRegistry" $image.repository) -}}
{{- end -}}
{{- end -}}

{{/*
Refuses pools that would wait for ever: for the core pack, on a claim that nobody puts packs on; or for packs from an API that
they are not led to. A pool whose own variables may lead it there is left alone.
*/}}
{{- define "attune.checkPacks" -}}
{{- $packs := .Values.sharedStorage.packs -}}
{{- $pools := list .Values.agentWorkers .Values.actionWorkers .Values.agentWorkerDefaults.env .Values.agentWorkerDefaults.envFrom | toJson -}}
{{- $own := or .Values.existingConfigMap .Values.config.packs_base_dir (regexMatch "ATTUNE_API_URL|ATTUNE__API__|PACKS_BASE_DIR|JWT_SECRET|\"(secretRef|configMapRef)\"" $pools) -}}
{{- if and .Values.quickstart.enabled (not $packs.enabled) -}}
{{- include "attune.refuse" "sharedStorage.packs.enabled: quickstart.enabled puts its packs on that volume, and nobody would find them elsewhere; leave it true" -}}
{{- else if and (or .Values.agentWorkers .Values.actionWorkers) (not $packs.enabled) (not $own) -}}
{{- if not (or .Values.api.url .Values.config.api) -}}
{{- include "attune.refuse" "api.url: it is empty, and sharedStorage.packs.enabled is false, so that workers would get packs from nowhere; set it to the API of a release of Attune, or sharedStorage.packs.existingClaim to its claim" -}}
{{- else if not (hasKey (include "attune.credentials" . | fromJson) "ATTUNE__SECURITY__JWT_SECRET") -}}
{{- include "attune.refuse" "security.jwtSecret: without the API's secret no worker asks the API for packs, and sharedStorage.packs.enabled is false; set it, or security.existingSecret to the release's" -}}
{{- end -}}
{{- end -}}
{{- if and (or .Values.agentWorkers .Values.actionWorkers) $packs.enabled (not $packs.existingClaim) (not .Values.quickstart.enabled) -}}
{{- include "attune.refuse" "sharedStorage.packs: a claim made here would be empty, and workers would wait for ever for the core pack; set sharedStorage.packs.existingClaim to the claim that a release of Attune puts packs on, or sharedStorage.packs.enabled to false and api.url, from where packs come then, or quickstart.enabled for a system without a release" -}}
{{- end -}}
{{- end -}}

{{/*
The sections that this chart reads.
*/}}
{{- define "attune.sections" -}}
{{- dict "sections" (list
  "nameOverride" "fullnameOverride" "kubeVersionOverride" "commonLabels" "commonAnnotations" "global" "images" "security"
  "credentials" "database" "rabbitmq" "api" "config" "existingConfigMap" "sharedStorage" "wait" "actionWorkers"
  "agentWorkers" "agentWorkerDefaults" "quickstart" "extraObjects") | toJson -}}
{{- end -}}

{{/*
What the values of a release of Attune have, by the chart that installs Attune itself, and this one takes and leaves alone:
all of it as {known: […]}, and what is set as {set: […]}, in JSON. One file of values serves both charts.
*/}}
{{- define "attune.ofRelease" -}}
{{- $known := list
  "api.replicaCount" "api.resources" "api.service" "bootstrap" "database.postgresql" "executor" "images.api"
  "images.executor" "images.initPacks" "images.initUser" "images.mcp" "images.migrations" "images.notifier"
  "images.supervisor" "images.web" "jobs" "mcp" "notifier" "rabbitmq.enabled" "rabbitmq.image" "rabbitmq.managementPort"
  "rabbitmq.persistence" "rabbitmq.resources" "sensorWorkers" "supervisor" "web" -}}
{{- $set := list -}}
{{- range $known -}}
{{- $parts := splitList "." . -}}
{{- $in := $.Values -}}
{{- range initial $parts -}}
{{- $in = get $in . | default dict -}}
{{- end -}}
{{- if hasKey $in (last $parts) -}}
{{- $set = append $set . -}}
{{- end -}}
{{- end -}}
{{- dict "known" $known "set" $set | toJson -}}
{{- end -}}

{{/*
Refuses a section that neither this chart nor a release has. The schema leaves that to this, which knows what was meant.
*/}}
{{- define "attune.checkSections" -}}
{{- $known := include "attune.sections" . | fromJson | dig "sections" list -}}
{{- range include "attune.ofRelease" . | fromJson | dig "known" list -}}
{{- $known = append $known (splitList "." . | first) -}}
{{- end -}}
{{- range $section, $_ := .Values -}}
{{- if not (has $section $known) -}}
{{- $nearest := include "attune.nearest" (dict "name" $section "among" (uniq $known)) -}}
{{- $meant := ternary (printf "did you mean %s?" $nearest) "`helm show values` has all that there are" (ne $nearest "") -}}
{{- include "attune.refuse" (printf "%s: no section of the values has this name; %s" $section $meant) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/*
The name that has most pairs of letters in common with another one; empty where none has half of them. Takes name, among.
*/}}
{{- define "attune.nearest" -}}
{{- $name := lower .name -}}
{{- $nearest := "" -}}
{{- $most := 49 -}}
{{- range $other := .among -}}
{{- $shared := 0 -}}
{{- range $at := until (max 0 (sub (len $name) 1) | int) -}}
{{- if contains (substr $at (add $at 2 | int) $name) (lower $other) -}}
{{- $shared = add $shared 1 -}}
{{- end -}}
{{- end -}}
{{- $percent := div (mul 200 $shared) (max 1 (sub (add (len $name) (len $other)) 2)) -}}
{{- if gt (int $percent) (int $most) -}}
{{- $most = $percent -}}
{{- $nearest = $other -}}
{{- end -}}
{{- end -}}
{{- $nearest -}}
{{- end -}}
