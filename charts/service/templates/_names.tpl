{{/* The application's name names its objects; an environment's namespace holds each once. */}}
{{- define "service.name" -}}
{{- required "application: the application's name is missing" .Values.application -}}
{{- end }}

{{/* What selects the pods; never changes, since a Deployment's selector cannot. */}}
{{- define "service.selector" -}}
app.kubernetes.io/name: {{ include "service.name" . }}
app.kubernetes.io/instance: {{ .Values.environment }}-{{ include "service.name" . }}
{{- end }}

{{- define "service.labels" -}}
{{ include "service.selector" . }}
app.kubernetes.io/version: {{ trunc 12 .Values.commit | quote }}
app.kubernetes.io/managed-by: symphony
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | quote }}
{{- end }}

{{- define "service.metadata" -}}
name: {{ include "service.name" . }}
namespace: {{ .Release.Namespace }}
labels:
  {{- include "service.labels" . | nindent 2 }}
{{- end }}

{{/* A digest is the only way to name an image: what was tested is what runs. */}}
{{- define "service.image" -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- end }}
