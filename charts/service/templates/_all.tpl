{{/* Everything a service needs. An application chart includes this once, and adds its own objects beside it. */}}
{{- define "service.all" -}}
{{- $account := dict "root" . "name" (include "service.name" .) -}}
{{ include "service.serviceaccount" $account }}
{{- if .Values.config }}
---
{{ include "service.config" (dict "root" . "name" (include "service.config.name" .)) }}
{{- end }}
{{- if .Values.secrets.external.keys }}
---
{{ include "service.externalsecret" $account }}
{{- end }}
{{- if .Values.networkPolicy.enabled }}
---
{{ include "service.networkpolicy" . }}
{{- end }}
{{- if .Values.disruptionBudget.enabled }}
---
{{ include "service.disruptionbudget" . }}
{{- end }}
---
{{ include "service.service" . }}
---
{{ include "service.deployment" . }}
{{- if .Values.autoscaling.enabled }}
---
{{ include "service.autoscaler" . }}
{{- end }}
{{- if .Values.ingress.hosts }}
---
{{ include "service.ingress" . }}
{{- end }}
{{- if .Values.migration.command }}
---
{{ include "service.migration" . }}
{{- end }}
{{- range $name, $test := .Values.tests }}
---
{{ include "service.test" (dict "root" $ "name" $name "test" $test) }}
{{- end }}
{{- end }}
