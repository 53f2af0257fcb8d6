{{/* Takes root, name and, for a hook's own, annotations. */}}
{{- define "service.serviceaccount" -}}
{{- $account := .root.Values.serviceAccount -}}
{{- $annotations := merge (dict) (.annotations | default dict) $account.annotations -}}
{{- with $account.role }}
{{- $_ := set $annotations "eks.amazonaws.com/role-arn" . }}
{{- end -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  {{- include "service.metadata" (dict "root" .root "name" .name "annotations" $annotations) | nindent 2 }}
automountServiceAccountToken: false
{{- end }}
