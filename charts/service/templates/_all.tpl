{{/* Everything a service needs. An application chart includes this once, and adds its own objects beside it. */}}
{{- define "service.all" -}}
{{ include "service.serviceaccount" . }}
---
{{ include "service.service" . }}
---
{{ include "service.deployment" . }}
{{- if .Values.ingress.hosts }}
---
{{ include "service.ingress" . }}
{{- end }}
{{- end }}
