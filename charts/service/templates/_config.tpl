{{/* Takes root, name and, for a hook's own, annotations. */}}
{{- define "service.config" -}}
{{- $annotations := .annotations | default (include "service.prunelast" .root | fromYaml) -}}
apiVersion: v1
kind: ConfigMap
metadata:
  {{- include "service.metadata" (dict "root" .root "name" .name "annotations" $annotations) | nindent 2 }}
immutable: true
data:
  {{- toYaml .root.Values.config | nindent 2 }}
{{- end }}

{{/* Takes root, name and, for a hook's own, annotations. Its Secret has the same name, and is there before the pods. */}}
{{- define "service.externalsecret" -}}
{{- $external := .root.Values.secrets.external -}}
{{- $annotations := .annotations | default (dict "argocd.argoproj.io/sync-wave" "-1") -}}
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata:
  {{- include "service.metadata" (dict "root" .root "name" .name "annotations" $annotations) | nindent 2 }}
spec:
  refreshInterval: {{ $external.refreshInterval }}
  secretStoreRef:
    kind: {{ $external.storeKind }}
    name: {{ required "secrets.external.store: the store that has the keys is missing" $external.store }}
  target:
    name: {{ .name }}
    creationPolicy: Owner
  data:
    {{- range $name, $remote := $external.keys }}
    - secretKey: {{ $name }}
      remoteRef:
        {{- toYaml $remote | nindent 8 }}
    {{- end }}
{{- end }}
