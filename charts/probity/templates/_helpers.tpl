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
