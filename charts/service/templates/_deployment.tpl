{{- define "service.deployment" -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  {{- $annotations := include "service.prunelast" . | fromYaml }}
  {{- include "service.metadata" (dict "root" . "name" (include "service.workload" .) "annotations" $annotations) | nindent 2 }}
spec:
  {{- if not .Values.autoscaling.enabled }}
  replicas: {{ .Values.replicas }}
  {{- else if eq .Values.rollout "blue-green" }}
  {{- /* What traffic is switched to must not begin with one pod; from then on the number is the autoscaler's. */}}
  replicas: {{ .Values.autoscaling.minReplicas }}
  {{- end }}
  revisionHistoryLimit: 3
  progressDeadlineSeconds: {{ .Values.progressDeadlineSeconds }}
  strategy:
    type: RollingUpdate
    rollingUpdate:
      maxUnavailable: 0
      maxSurge: 1
  selector:
    matchLabels:
      {{- include "service.selector.version" . | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "service.selector.version" . | nindent 8 }}
        {{- include "service.labels.chart" . | nindent 8 }}
      {{- if .Values.config }}
      annotations:
        checksum/config: {{ toYaml .Values.config | sha256sum }}
      {{- end }}
    spec:
      {{- include "service.pod.server" . | nindent 6 }}
{{- end }}
