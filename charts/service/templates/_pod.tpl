{{/* The pod that serves, labels aside. */}}
{{- define "service.pod.server" -}}
{{- $name := include "service.name" . -}}
{{- $names := dict "account" $name "config" (include "service.config.name" .) "secret" $name -}}
{{ include "service.pod" (merge (dict "root" . "server" true) $names) }}
{{- end }}

{{/*
Spec of a pod. Takes root; account, config and secret: names of what it uses; server: whether it serves; and where it
does not: command, image and env.
*/}}
{{- define "service.pod" -}}
{{- $values := .root.Values -}}
serviceAccountName: {{ .account }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- if not .server }}
restartPolicy: Never
{{- end }}
terminationGracePeriodSeconds: {{ $values.terminationGracePeriodSeconds }}
securityContext:
  runAsNonRoot: true
  runAsUser: {{ $values.user }}
  runAsGroup: {{ $values.user }}
  fsGroup: {{ $values.user }}
  seccompProfile:
    type: RuntimeDefault
{{- if and .server $values.topologySpread }}
topologySpreadConstraints:
  {{- range $values.topologySpread }}
  - {{ toYaml . | nindent 4 | trim }}
    labelSelector:
      matchLabels:
        {{- include "service.selector" $.root | nindent 8 }}
    matchLabelKeys: [pod-template-hash]
  {{- end }}
{{- end }}
containers:
  - name: {{ include "service.name" .root }}
    image: {{ .image | default (include "service.image" .root) | quote }}
    imagePullPolicy: IfNotPresent
    {{- with .command }}
    command:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    {{- if .server }}
    ports:
      - name: http
        containerPort: {{ $values.port }}
        protocol: TCP
    {{- end }}
    env:
      - name: APPLICATION
        value: {{ $values.application | quote }}
      - name: ENVIRONMENT
        value: {{ $values.environment | quote }}
      - name: COMMIT
        value: {{ $values.commit | quote }}
      - name: DIGEST
        value: {{ $values.image.digest | quote }}
      - name: PORT
        value: {{ $values.port | quote }}
      {{- range $name, $value := merge (dict) (.env | default dict) $values.env }}
      - name: {{ $name }}
        value: {{ $value | quote }}
      {{- end }}
    {{- if or $values.secrets.existing $values.secrets.external.keys }}
    envFrom:
      {{- range $values.secrets.existing }}
      - secretRef:
          name: {{ . }}
      {{- end }}
      {{- if $values.secrets.external.keys }}
      - secretRef:
          name: {{ .secret }}
      {{- end }}
    {{- end }}
    {{- if .server }}
    {{- with $values.preStopSeconds }}
    lifecycle:
      preStop:
        sleep:
          seconds: {{ . }}
    {{- end }}
    startupProbe:
      {{- include "service.probe" $values.probes.startup | nindent 6 }}
    readinessProbe:
      {{- include "service.probe" $values.probes.readiness | nindent 6 }}
    livenessProbe:
      {{- include "service.probe" $values.probes.liveness | nindent 6 }}
    {{- end }}
    resources:
      {{- toYaml $values.resources | nindent 6 }}
    securityContext:
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      capabilities:
        drop: [ALL]
    volumeMounts:
      - name: tmp
        mountPath: /tmp
      {{- if $values.config }}
      - name: config
        mountPath: {{ $values.configPath }}
        readOnly: true
      {{- end }}
volumes:
  - name: tmp
    emptyDir:
      sizeLimit: 64Mi
  {{- if $values.config }}
  - name: config
    configMap:
      name: {{ .config }}
  {{- end }}
{{- end }}

{{- define "service.probe" -}}
httpGet:
  path: {{ .path }}
  port: http
{{ toYaml (omit . "path") }}
{{- end }}
