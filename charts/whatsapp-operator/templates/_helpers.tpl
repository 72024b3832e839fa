{{/* Names begin with the release, so that two releases can share a cluster. */}}
{{- define "whatsapp.fullname" -}}
{{- if contains "whatsapp" .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{ else }}{{ printf "%s-whatsapp" (.Release.Name | trunc 31 | trimSuffix "-") }}{{ end }}
{{- end }}

{{- define "whatsapp.operator.name" -}}{{ include "whatsapp.fullname" . }}-operator{{- end }}
{{- define "whatsapp.operator.secretRole" -}}{{ include "whatsapp.operator.name" . }}-secrets{{- end }}
{{/* An upgrade that reuses the values of a release from before there was a choice keeps what it had. */}}
{{- define "whatsapp.secretAccess" -}}{{ .Values.secretAccess | default "cluster" }}{{- end }}
{{- define "whatsapp.dataPlane.name" -}}{{ include "whatsapp.fullname" . }}-data-plane{{- end }}

{{- define "whatsapp.labels" -}}
app.kubernetes.io/name: whatsapp-operator
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{/* The labels by which a Service and a workload select their pods. They must not change between versions. */}}
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
{{- required "publicBaseUrl is required: the public URL of the data plane's webhook listener, such as https://whatsapp.example.com" .Values.publicBaseUrl }}
{{- end }}

{{/* The image of a component: (list . "operator"). */}}
{{- define "whatsapp.image" -}}
{{- $root := index . 0 -}}
{{- $repository := required "image.repository is required: the registry and path of your images, such as registry.example.com/whatsapp" $root.Values.image.repository -}}
{{ $repository }}/{{ index . 1 }}:{{ $root.Values.image.tag | default $root.Chart.AppVersion }}
{{- end }}

{{/* On OpenShift the namespace's ids are filled in by admission, which refuses others. */}}
{{- define "whatsapp.podSecurityContext" -}}
{{- $asked := toString .Values.podSecurity.fixedIds -}}
runAsNonRoot: true
{{- if or (eq $asked "true") (and (eq $asked "auto") (not (.Capabilities.APIVersions.Has "security.openshift.io/v1"))) }}
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
{{- end }}
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

{{/* sqlite or postgres. Refuses a combination that would lose data or replicas. */}}
{{- define "whatsapp.store" -}}
{{- if .Values.store.postgres.existingSecret -}}
{{- if or .Values.store.sqlite.size .Values.store.sqlite.storageClassName -}}
{{- fail "store.sqlite and store.postgres are both set: the data plane keeps its data in one of them; remove store.sqlite, or leave store.postgres.existingSecret empty" -}}
{{- end -}}
postgres
{{- else -}}
{{- if .Values.store.postgres.caSecret -}}
{{- fail "store.postgres.caSecret is set without store.postgres.existingSecret: expected the name of the Secret that holds the database's URL" -}}
{{- end -}}
{{- if gt (int .Values.dataPlane.replicas) 1 -}}
{{- fail (printf "dataPlane.replicas is %d with SQLite, whose database is a file of one replica: expected 1, or PostgreSQL (store.postgres.existingSecret)" (int .Values.dataPlane.replicas)) -}}
{{- end -}}
sqlite
{{- end -}}
{{- end }}

{{/* A duration in whole seconds, rounded up. */}}
{{- define "whatsapp.seconds" -}}
{{- $number := int64 (regexFind "^[0-9]+" .) -}}
{{- if hasSuffix "ms" . }}{{ div (add $number 999) 1000 }}
{{- else if hasSuffix "s" . }}{{ $number }}
{{- else if hasSuffix "m" . }}{{ mul $number 60 }}
{{- else }}{{ mul $number 3600 }}
{{- end }}
{{- end }}
