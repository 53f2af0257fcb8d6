{{/*
A Job before anything else, and what it needs: the application's own ServiceAccount, ConfigMap and Secret are applied
only after it, so it has its own. Those come a wave before it, and go with it.
*/}}
{{- define "service.migration" -}}
{{- $name := printf "%s-migrate" (include "service.name" .) -}}
{{- $first := include "service.hook" "-1" | fromYaml -}}
{{- $needed := dict "root" . "name" $name "annotations" $first -}}
{{- $names := dict "account" $name "config" $name "secret" $name -}}
{{- $migration := .Values.migration -}}
{{ include "service.serviceaccount" $needed }}
{{- if .Values.config }}
---
{{ include "service.config" $needed }}
{{- end }}
{{- if .Values.secrets.external.keys }}
---
{{ include "service.externalsecret" $needed }}
{{- end }}
---
apiVersion: batch/v1
kind: Job
metadata:
  {{- include "service.metadata" (dict "root" . "name" $name "annotations" (include "service.hook" "0" | fromYaml)) | nindent 2 }}
spec:
  activeDeadlineSeconds: {{ $migration.activeDeadlineSeconds }}
  backoffLimit: {{ $migration.backoffLimit }}
  ttlSecondsAfterFinished: {{ $migration.ttlSecondsAfterFinished }}
  template:
    metadata:
      labels:
        {{- include "service.labels.beside" (dict "root" . "component" "migration") | nindent 8 }}
    spec:
      {{- include "service.pod" (merge (dict "root" . "command" $migration.command "env" $migration.env) $names) | nindent 6 }}
{{- end }}
