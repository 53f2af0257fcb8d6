{{- define "service.ingress" -}}
{{- $name := include "service.name" . -}}
{{- $own := include "service.ingress.annotations" . | fromYaml -}}
{{- $annotations := merge (dict) .Values.ingress.annotations $own (include "service.switch" . | fromYaml) -}}
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  {{- include "service.metadata" (dict "root" . "name" $name "annotations" $annotations) | nindent 2 }}
spec:
  ingressClassName: {{ .Values.ingress.className | default .Values.ingress.controller }}
  {{- with .Values.ingress.tls }}
  tls:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  rules:
    {{- range .Values.ingress.hosts }}
    - host: {{ .host | quote }}
      http:
        paths:
          {{- range .paths }}
          - path: {{ .path }}
            pathType: {{ .pathType | default "Prefix" }}
            backend:
              service:
                name: {{ $name }}
                port:
                  name: http
          {{- end }}
    {{- end }}
{{- end }}

{{/* What each controller must be told that the Ingress itself cannot say. */}}
{{- define "service.ingress.annotations" -}}
{{- $ingress := .Values.ingress -}}
{{- if eq $ingress.controller "alb" }}
alb.ingress.kubernetes.io/scheme: {{ $ingress.alb.scheme }}
alb.ingress.kubernetes.io/target-type: ip
alb.ingress.kubernetes.io/healthcheck-path: {{ .Values.probes.readiness.path }}
{{- with $ingress.alb.group }}
alb.ingress.kubernetes.io/group.name: {{ . }}
{{- end }}
{{- with $ingress.alb.certificate }}
alb.ingress.kubernetes.io/certificate-arn: {{ . }}
alb.ingress.kubernetes.io/listen-ports: '[{"HTTP": 80}, {"HTTPS": 443}]'
alb.ingress.kubernetes.io/ssl-redirect: "443"
{{- end }}
{{- else if and (eq $ingress.controller "nginx") $ingress.tls }}
nginx.ingress.kubernetes.io/force-ssl-redirect: "true"
{{- else if and (eq $ingress.controller "traefik") $ingress.tls }}
traefik.ingress.kubernetes.io/router.entrypoints: websecure
traefik.ingress.kubernetes.io/router.tls: "true"
{{- end }}
{{- end }}
