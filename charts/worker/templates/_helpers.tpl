{{- define "worker.labels" -}}
app.kubernetes.io/name: symphony-worker
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- /* Nobody is root, nothing is gained, nothing is written but where a volume is. */}}
{{- define "worker.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "worker.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- /* The template of the work pool: Prefect fills in what stands in double braces. */}}
{{- define "worker.pool" -}}
variables:
  type: object
  properties:
    command: {type: string, title: Command, default: python -m deployments.engine}
    env: {type: object, title: Environment, additionalProperties: {type: string}, default: {}}
    name: {type: string, title: Name, default: symphony-run}
    labels: {type: object, title: Labels, additionalProperties: {type: string}, default: {}}
    image: {type: string, title: Image, default: {{ required "image: the worker's image is missing" .Values.image | quote }}}
    memory: {type: string, title: Memory, description: A limit, default: {{ .Values.jobs.resources.limits.memory | quote }}}
job_configuration:
  command: "{{ "{{ command }}" }}"
  env: "{{ "{{ env }}" }}"
  labels: "{{ "{{ labels }}" }}"
  name: "{{ "{{ name }}" }}"
  namespace: {{ .Release.Namespace }}
  stream_output: true
  pod_watch_timeout_seconds: 120
  job_manifest:
    apiVersion: batch/v1
    kind: Job
    metadata:
      labels: "{{ "{{ labels }}" }}"
      namespace: {{ .Release.Namespace }}
      generateName: "{{ "{{ name }}" }}-"
    spec:
      # A run that dies is not begun again in the middle of an apply: Symphony says what it left, and a person decides.
      backoffLimit: 0
      ttlSecondsAfterFinished: {{ .Values.jobs.ttlSecondsAfterFinished }}
      template:
        metadata:
          labels: {app.kubernetes.io/name: symphony-run}
          annotations:
            # Neither autoscaler moves a pod that works.
            cluster-autoscaler.kubernetes.io/safe-to-evict: "false"
            karpenter.sh/do-not-disrupt: "true"
        spec:
          parallelism: 1
          completions: 1
          restartPolicy: Never
          serviceAccountName: {{ .Values.jobs.serviceAccount.name }}
          terminationGracePeriodSeconds: {{ .Values.jobs.terminationGracePeriodSeconds }}
          {{- if .Values.jobs.hostNetwork }}
          hostNetwork: true
          dnsPolicy: Default
          {{- end }}
          {{- with .Values.jobs.nodeSelector }}
          nodeSelector: {{ toYaml . | nindent 12 }}
          {{- end }}
          {{- with .Values.jobs.tolerations }}
          tolerations: {{ toYaml . | nindent 12 }}
          {{- end }}
          securityContext:
            {{- include "worker.podSecurity" . | nindent 12 }}
          {{- if .Values.jobs.buildkit.enabled }}
          initContainers:
            # Beside the run from before it begins until it has ended (a sidecar of Kubernetes 1.29 on). It becomes root of
            # a user namespace by newuidmap, which is why it may gain what the run may not; of the node it is nobody.
            - name: buildkit
              restartPolicy: Always
              image: "{{ "{{ image }}" }}"
              command: [rootlesskit, --net=host, --state-dir=/run/buildkit/rootlesskit]
              args:
                - buildkitd
                - --addr=unix:///run/buildkit/buildkitd.sock
                - --root=/var/lib/buildkit
                - --containerd-worker=false
                - --oci-worker-no-process-sandbox
                - --oci-worker-net=host
              env:
                - {name: XDG_RUNTIME_DIR, value: /run/buildkit}
                - {name: TMPDIR, value: /var/lib/buildkit}
              startupProbe:
                exec: {command: [test, -S, /run/buildkit/buildkitd.sock]}
                periodSeconds: 1
                failureThreshold: 60
              resources: {{- toYaml .Values.jobs.buildkit.resources | nindent 16 }}
              securityContext:
                allowPrivilegeEscalation: true
                seccompProfile: {type: Unconfined}
              volumeMounts:
                - {name: buildkit, mountPath: /run/buildkit}
                - {name: layers, mountPath: /var/lib/buildkit}
          {{- end }}
          containers:
            - name: prefect-job
              image: "{{ "{{ image }}" }}"
              args: "{{ "{{ command }}" }}"
              env: "{{ "{{ env }}" }}"
              envFrom:
                - configMapRef: {name: {{ .Release.Name }}-environment}
                {{- range .Values.environmentSecrets }}
                - secretRef: {name: {{ . }}}
                {{- end }}
              resources:
                requests: {{ toJson .Values.jobs.resources.requests }}
                limits: {memory: "{{ "{{ memory }}" }}"}
              securityContext: {{- include "worker.containerSecurity" . | nindent 16 }}
              volumeMounts:
                - {name: home, mountPath: /home/symphony}
                - {name: tmp, mountPath: /tmp}
                {{- range $key, $path := .Values.files.paths }}
                - {name: files, mountPath: {{ $path }}, subPath: {{ $key }}, readOnly: true}
                {{- end }}
                {{- if .Values.jobs.buildkit.enabled }}
                - {name: buildkit, mountPath: /run/buildkit}
                {{- end }}
          volumes:
            - {name: home, emptyDir: {}}
            - {name: tmp, emptyDir: {}}
            {{- if .Values.files.secret }}
            - {name: files, secret: {secretName: {{ .Values.files.secret }}, defaultMode: 0440}}
            {{- end }}
            {{- if .Values.jobs.buildkit.enabled }}
            - {name: buildkit, emptyDir: {}}
            - {name: layers, emptyDir: {}}
            {{- end }}
{{- end }}
