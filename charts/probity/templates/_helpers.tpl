{{- define "probity.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" }}
{{- end }}

{{- define "probity.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else }}
{{- $name := include "probity.name" . }}
{{- if contains $name .Release.Name }}
{{- .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" }}
{{- end }}
{{- end }}
{{- end }}

{{- define "probity.selector" -}}
app.kubernetes.io/name: {{ include "probity.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "probity.labels" -}}
{{ include "probity.selector" . }}
app.kubernetes.io/part-of: probity
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "probity.image" -}}
{{- with .Values.image }}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
{{- end }}

{{- /* The one subject of all bindings. */}}
{{- define "probity.subjects" -}}
subjects:
  - kind: ServiceAccount
    name: {{ include "probity.fullname" . }}
    namespace: {{ .Release.Namespace }}
{{- end }}

{{- /* What one pass over a cluster reads, of the operator and of `probity scan`. No Secret is among it. */}}
{{- define "probity.reads" -}}
{{- $rights := .Files.Get "files/rights.yaml" | fromYaml -}}
# What the controls read.
{{ toYaml $rights.reads }}
{{- if has "ApiServerFacts" $rights.observes }}
# What the API servers tell of themselves.
- nonResourceURLs: [/metrics, /flagz, /readyz/kms-provider*]
  verbs: [get]
# What OpenShift is to encrypt with.
- apiGroups: [config.openshift.io]
  resources: [apiservers]
  resourceNames: [cluster]
  verbs: [get]
{{- end }}
{{- end }}

{{- /* What the program compares its own surroundings with: what the release is, then the objects. */}}
{{- define "probity.manifest" -}}
name: {{ include "probity.fullname" . }}
namespace: {{ .Release.Namespace }}
version: {{ .Chart.AppVersion | quote }}
image: {{ include "probity.image" . }}
{{- range list "admissionpolicy" "clusterroles" "decisions" "drill" "helperroles" "networkprobe" "roles" }}
---
{{ include (printf "%s/%s.yaml" $.Template.BasePath .) $ }}
{{- end }}
{{- end }}

{{- define "probity.manifestName" -}}
{{- printf "%s-manifest-%s" (include "probity.fullname" .) (include "probity.manifest" . | sha256sum | trunc 8) }}
{{- end }}

{{- /* Namespace of the network probe. */}}
{{- define "probity.probeNamespace" -}}
{{- .Values.networkProbe.namespace | default (printf "%s-probe" (include "probity.fullname" .)) }}
{{- end }}

{{- /* The namespace that restore drills make. */}}
{{- define "probity.sandbox" -}}
{{- .Values.drill.namespace | default (printf "%s-drill" (include "probity.fullname" .)) }}
{{- end }}

{{- /* The one lease and the one canary: their names are the program's, not the release's. */}}
{{- define "probity.lease" -}}probity{{- end }}
{{- define "probity.canary" -}}probity-canary{{- end }}

{{- /* Names of the ConfigMaps with checkpoints, as JSON: one for each replica. */}}
{{- define "probity.anchorMaps" -}}
{{- $maps := list }}
{{- range $replica := until (int (max 1 (int .Values.replicas))) }}
{{- $maps = append $maps (printf "probity-evidence-%s.%s-%d" $.Release.Namespace (include "probity.fullname" $) $replica) }}
{{- end }}
{{- toJson $maps }}
{{- end }}

{{- /* Values that contradict each other, each in one line that says what to do. */}}
{{- define "probity.check" }}
{{- $replicas := int .Values.replicas }}
{{- with .Values.persistence }}
{{- if and .existingClaim (not .enabled) }}
{{- fail "persistence.existingClaim needs persistence.enabled: set it to true, or remove the claim" }}
{{- end }}
{{- if and .existingClaim (gt $replicas 1) }}
{{- fail "persistence.existingClaim is for one replica: each keeps its own log; remove it, or set replicas to 1" }}
{{- end }}
{{- end }}
{{- if eq .Values.anchors.configMap.namespace .Release.Namespace }}
{{- fail (printf "anchors.configMap.namespace must not be %s, the namespace of the release: who administers that holds the log, too; choose another one" .Release.Namespace) }}
{{- end }}
{{- range $value, $namespace := dict "networkProbe.namespace" .Values.networkProbe.namespace "drill.namespace" .Values.drill.namespace }}
{{- if eq $namespace $.Release.Namespace }}
{{- fail (printf "%s must not be %s, the namespace of the release: what it holds is deleted; choose another one" $value $namespace) }}
{{- end }}
{{- end }}
{{- range $value, $namespace := dict "networkProbe.namespace" .Values.networkProbe.namespace "drill.namespace" .Values.drill.namespace }}
{{- if or (hasPrefix "kube-" $namespace) (has $namespace (list "default" $.Values.velero.namespace)) }}
{{- fail (printf "%s must not be %s: what it holds is deleted; choose a name that nobody uses" $value $namespace) }}
{{- end }}
{{- end }}
{{- range $value, $place := dict "networkProbe" .Values.networkProbe "drill" .Values.drill }}
{{- if and $place.namespace (not $place.enabled) }}
{{- fail (printf "%s.namespace needs %s.enabled: set it to true, or remove the namespace" $value $value) }}
{{- end }}
{{- end }}
{{- with .Values.anchors }}
{{- if ne (empty .witness.url) (empty .witness.key) }}
{{- fail "anchors.witness.url and anchors.witness.key belong together: set both, or remove both" }}
{{- end }}
{{- if and (not .bucket.url) (or .bucket.endpoint .bucket.credentialsSecret) }}
{{- fail "anchors.bucket.endpoint and anchors.bucket.credentialsSecret need anchors.bucket.url: set it, or remove them" }}
{{- end }}
{{- end }}
{{- if and .Values.drill.enabled .Values.networkProbe.enabled (eq (include "probity.sandbox" .) (include "probity.probeNamespace" .)) }}
{{- fail "drill.namespace and networkProbe.namespace are the same: drills delete theirs; choose another one" }}
{{- end }}
{{- with .Values.openTelemetry }}
{{- if and (not .endpoint) (or .headersSecret .caSecret) }}
{{- fail "openTelemetry.headersSecret and openTelemetry.caSecret need openTelemetry.endpoint: set it, or remove them" }}
{{- end }}
{{- end }}
{{- range $variable := .Values.extraEnv }}
{{- if has $variable.name (list "POD_NAME" "POD_NAMESPACE" "PROBITY_RELEASE_MANIFEST" "PROBITY_RELEASE_DIGEST" "PROBITY_LONGEST_EXCEPTION" "PROBITY_PRUNE_AFTER" "PROBITY_ANCHOR_NAMESPACE" "PROBITY_ANCHOR_BUCKET" "PROBITY_ANCHOR_ENDPOINT" "PROBITY_ANCHOR_CA" "PROBITY_WITNESS_URL" "PROBITY_WITNESS_KEY" "PROBITY_TIMESTAMP_URL" "PROBITY_PARQUET" "PROBITY_PROBE_NAMESPACE" "PROBITY_PROBE_IMAGE" "PROBITY_DRILL_NAMESPACE" "PROBITY_DRILL_OWNER" "OTEL_EXPORTER_OTLP_ENDPOINT" "OTEL_EXPORTER_OTLP_HEADERS" "OTEL_EXPORTER_OTLP_CERTIFICATE") }}
{{- fail (printf "extraEnv must not hold %s: the chart sets it; use the value for it" $variable.name) }}
{{- end }}
{{- end }}
{{- range $arg := .Values.extraArgs }}
{{- range $own := list "--data-dir" "--metrics-address" "--namespace" "--replica" "--log-format" "--signing-key" }}
{{- if or (eq $arg $own) (hasPrefix (printf "%s=" $own) $arg) }}
{{- fail (printf "extraArgs must not hold %s: the chart sets it; use the value for it" $own) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
