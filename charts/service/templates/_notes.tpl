{{/* What `helm install` says; an application chart includes it in its NOTES.txt. */}}
{{- define "service.notes" -}}
{{ include "service.name" . }} at {{ trunc 12 .Values.commit }} in {{ .Values.environment }}, {{ .Values.rollout }}:
{{- range $host := .Values.ingress.hosts }}
{{- range .paths }}
  http{{ if or $.Values.ingress.tls $.Values.ingress.alb.certificate }}s{{ end }}://{{ $host.host }}{{ .path }}
{{- end }}
{{- else }}
  http://{{ include "service.name" . }}.{{ .Release.Namespace }}, inside the cluster alone
{{- end }}
{{- if .Values.tests }}
`helm test {{ .Release.Name }} --namespace {{ .Release.Namespace }} --logs` asks it whether it works.
{{- end }}
{{- end }}
