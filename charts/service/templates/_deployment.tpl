{{- define "service.deployment" -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  {{- include "service.metadata" . | nindent 2 }}
spec:
  replicas: {{ .Values.replicas }}
  revisionHistoryLimit: 3
  progressDeadlineSeconds: {{ .Values.progressDeadlineSeconds }}
  strategy:
    type: RollingUpdate
    rollingUpdate:
      maxUnavailable: 0
      maxSurge: 1
  selector:
    matchLabels:
      {{- include "service.selector" . | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "service.labels" . | nindent 8 }}
    spec:
      serviceAccountName: {{ include "service.name" . }}
      automountServiceAccountToken: false
      enableServiceLinks: false
      terminationGracePeriodSeconds: {{ .Values.terminationGracePeriodSeconds }}
      securityContext:
        runAsNonRoot: true
        runAsUser: {{ .Values.user }}
        runAsGroup: {{ .Values.user }}
        fsGroup: {{ .Values.user }}
        seccompProfile:
          type: RuntimeDefault
      containers:
        - name: {{ include "service.name" . }}
          image: {{ include "service.image" . | quote }}
          imagePullPolicy: IfNotPresent
          ports:
            - name: http
              containerPort: {{ .Values.port }}
              protocol: TCP
          env:
            - name: APPLICATION
              value: {{ .Values.application | quote }}
            - name: ENVIRONMENT
              value: {{ .Values.environment | quote }}
            - name: COMMIT
              value: {{ .Values.commit | quote }}
            - name: DIGEST
              value: {{ .Values.image.digest | quote }}
            - name: PORT
              value: {{ .Values.port | quote }}
            {{- range $name, $value := .Values.env }}
            - name: {{ $name }}
              value: {{ $value | quote }}
            {{- end }}
          startupProbe:
            {{- include "service.probe" .Values.probes.startup | nindent 12 }}
          readinessProbe:
            {{- include "service.probe" .Values.probes.readiness | nindent 12 }}
          livenessProbe:
            {{- include "service.probe" .Values.probes.liveness | nindent 12 }}
          resources:
            {{- toYaml .Values.resources | nindent 12 }}
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities:
              drop: [ALL]
          volumeMounts:
            - name: tmp
              mountPath: /tmp
      volumes:
        - name: tmp
          emptyDir:
            sizeLimit: 64Mi
{{- end }}

{{- define "service.probe" -}}
httpGet:
  path: {{ .path }}
  port: http
{{ toYaml (omit . "path") }}
{{- end }}
