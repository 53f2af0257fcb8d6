{{- define "service.service" -}}
apiVersion: v1
kind: Service
metadata:
  {{- $annotations := include "service.switch" . | fromYaml }}
  {{- include "service.metadata" (dict "root" . "name" (include "service.name" .) "annotations" $annotations) | nindent 2 }}
spec:
  type: ClusterIP
  selector:
    {{- include "service.selector.version" . | nindent 4 }}
  ports:
    - name: http
      port: 80
      targetPort: http
      protocol: TCP
{{- end }}
