{{/* Names begin with the release, so that two releases can share a cluster. */}}
{{- define "whatsapp.fullname" -}}
{{- if contains "whatsapp" .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{ else }}{{ printf "%s-whatsapp" (.Release.Name | trunc 31 | trimSuffix "-") }}{{ end }}
{{- end }}

{{- define "whatsapp.operator.name" -}}{{ include "whatsapp.fullname" . }}-operator{{- end }}
{{- define "whatsapp.dataPlane.name" -}}{{ include "whatsapp.fullname" . }}-data-plane{{- end }}

{{- define "whatsapp.labels" -}}
app.kubernetes.io/name: whatsapp-operator
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{/* What a Service and a workload find their pods by; may not change over upgrades. */}}
{{- define "whatsapp.operator.selector" -}}
app.kubernetes.io/name: whatsapp-operator
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end }}
{{- define "whatsapp.dataPlane.selector" -}}
app.kubernetes.io/name: whatsapp-operator
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: data-plane
{{- end }}

{{- define "whatsapp.publicBaseUrl" -}}
{{- required "publicBaseUrl is required: the internet's view of the data plane's webhook listener, such as https://whatsapp.example.com" .Values.publicBaseUrl }}
{{- end }}

{{/* The image of a component: (list . "operator"). */}}
{{- define "whatsapp.image" -}}
{{- $root := index . 0 -}}
{{- $repository := required "image.repository is required: where your images are, such as registry.example.com/whatsapp" $root.Values.image.repository -}}
{{ $repository }}/{{ index . 1 }}:{{ $root.Values.image.tag | default $root.Chart.AppVersion }}
{{- end }}

{{- define "whatsapp.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: { type: RuntimeDefault }
{{- end }}

{{- define "whatsapp.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}

{{- define "whatsapp.pullSecrets" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end }}

{{- define "whatsapp.scheduling" -}}
{{- with .nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
