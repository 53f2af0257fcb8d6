{{/* The application's name names its objects; an environment's namespace holds each once. */}}
{{- define "service.name" -}}
{{- required "application: the application's name is missing" .Values.application -}}
{{- end }}

{{/*
What runs, as a short hash: of all that makes a pod. Blue-green names the Deployment by it, so that a new version comes
up beside the old one.
*/}}
{{- define "service.colour" -}}
{{- include "service.pod.server" . | sha256sum | trunc 7 -}}
{{- end }}

{{/* Name of the Deployment, and of what belongs to it alone. */}}
{{- define "service.workload" -}}
{{- include "service.name" . -}}
{{- if eq .Values.rollout "blue-green" }}-{{ include "service.colour" . }}{{ end -}}
{{- end }}

{{/* A ConfigMap never changes: another content is another name, so that what runs keeps its files. */}}
{{- define "service.config.name" -}}
{{- printf "%s-%s" (include "service.name" .) (toYaml .Values.config | sha256sum | trunc 7) -}}
{{- end }}

{{/* What selects the pods of every version; never changes, since a Deployment's selector cannot. */}}
{{- define "service.selector" -}}
app.kubernetes.io/name: {{ include "service.name" . }}
app.kubernetes.io/instance: {{ .Values.environment }}-{{ include "service.name" . }}
{{- end }}

{{/* What selects the pods of this version alone, where it has a Deployment of its own. */}}
{{- define "service.selector.version" -}}
{{ include "service.selector" . }}
{{- if eq .Values.rollout "blue-green" }}
symphony/colour: {{ include "service.colour" . | quote }}
{{- end }}
{{- end }}

{{- define "service.labels" -}}
{{ include "service.selector" . }}
{{ include "service.labels.chart" . }}
{{- end }}

{{- define "service.labels.chart" -}}
app.kubernetes.io/version: {{ trunc 12 .Values.commit | quote }}
app.kubernetes.io/managed-by: symphony
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | quote }}
{{- end }}

{{/* Labels of a pod beside the server: another instance, so that neither the Service nor a policy takes it for one. */}}
{{- define "service.labels.beside" -}}
app.kubernetes.io/name: {{ include "service.name" .root }}
app.kubernetes.io/instance: {{ .root.Values.environment }}-{{ include "service.name" .root }}-{{ .component }}
app.kubernetes.io/component: {{ .component }}
{{ include "service.labels.chart" .root }}
{{- end }}

{{/* Takes root, name and annotations. */}}
{{- define "service.metadata" -}}
name: {{ .name }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "service.labels" .root | nindent 2 }}
{{- with .annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* A digest is the only way to name an image: what was tested is what runs. */}}
{{- define "service.image" -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- end }}

{{/* What one version needs goes only when the next one serves. */}}
{{- define "service.prunelast" -}}
argocd.argoproj.io/sync-options: PruneLast=true
{{- end }}

{{/* Blue-green: what leads to the pods follows in the wave after them, for which Argo CD waits until all are ready. */}}
{{- define "service.switch" -}}
{{- if eq .Values.rollout "blue-green" }}
argocd.argoproj.io/sync-wave: "1"
{{- end }}
{{- end }}

{{/*
A hook before anything is applied: Helm's own annotations, which Argo CD takes as PreSync, its wave and delete policy.
*/}}
{{- define "service.hook" -}}
helm.sh/hook: pre-install,pre-upgrade
helm.sh/hook-weight: {{ . | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end }}
