{{/* The pod of one replica, for the Deployment or the StatefulSet. */}}
{{- define "whatsapp.dataPlane.pod" -}}
{{- $store := include "whatsapp.store" . -}}
metadata:
  labels:
    {{- include "whatsapp.labels" . | nindent 4 }}
    app.kubernetes.io/component: data-plane
spec:
  serviceAccountName: {{ include "whatsapp.dataPlane.name" . }}
  # Longer than a drain takes, so that no drain is cut short.
  terminationGracePeriodSeconds: {{ add (include "whatsapp.seconds" .Values.dataPlane.drainDelay) (include "whatsapp.seconds" .Values.dataPlane.drainTimeout) 10 }}
  securityContext: {{- include "whatsapp.podSecurityContext" . | nindent 4 }}
  {{- include "whatsapp.pullSecrets" . | nindent 2 }}
  containers:
    - name: data-plane
      image: {{ include "whatsapp.image" (list . "data-plane") | quote }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args:
        - serve
        - --webhook-listen={{ .Values.listenAddress }}:8080
        - --api-listen={{ .Values.listenAddress }}:8081
        - --admin-listen={{ .Values.listenAddress }}:9090
        - --api-audience={{ .Values.dataPlane.apiAudience }}
        {{- if .Values.dataPlane.authorizeSenders }}
        - --authorize-senders
        {{- end }}
        - --drain-delay={{ .Values.dataPlane.drainDelay }}
        - --drain-timeout={{ .Values.dataPlane.drainTimeout }}
        - --removal-grace={{ .Values.dataPlane.removalGrace }}
        - --max-connections={{ .Values.dataPlane.connections.max }}
        {{- with .Values.dataPlane.connections.maxPerPeer }}
        - --max-connections-per-peer={{ . }}
        {{- end }}
        - --idle-timeout={{ .Values.dataPlane.connections.idleTimeout }}
        - --log-format={{ .Values.dataPlane.logFormat }}
        {{- with .Values.twilioBaseUrl }}
        - --twilio-base-url={{ . }}
        {{- end }}
        {{- if .Values.dataPlane.allowPrivateSinks }}
        - --allow-private-sinks
        {{- end }}
      env:
        - name: POD_NAME
          valueFrom: { fieldRef: { fieldPath: metadata.name } }
        # Makes the replica's Lease disappear with its pod.
        - name: POD_UID
          valueFrom: { fieldRef: { fieldPath: metadata.uid } }
        # In the environment, so that a command beside the process (replay) also finds the configs and the database, and so
        # that no password is in an argument.
        - name: WHATSAPP_CONFIG_NAMESPACE
          valueFrom: { fieldRef: { fieldPath: metadata.namespace } }
        - { name: WHATSAPP_CONFIG_CACHE, value: /var/cache/whatsapp }
        {{- if eq $store "sqlite" }}
        - { name: WHATSAPP_STORE, value: "sqlite:///var/lib/whatsapp/data.db" }
        {{- else }}
        - name: WHATSAPP_STORE
          valueFrom: { secretKeyRef: { name: {{ .Values.store.postgres.existingSecret }}, key: {{ .Values.store.postgres.key | quote }} } }
        {{- with .Values.store.postgres }}
        {{- if .caSecret }}
        - { name: WHATSAPP_STORE_CA, value: "/etc/whatsapp/store-ca/{{ .caKey }}" }
        {{- end }}
        {{- end }}
        {{- end }}
      ports:
        - { name: webhooks, containerPort: 8080 }
        - { name: api, containerPort: 8081 }
        - { name: metrics, containerPort: 9090 }
      livenessProbe:
        httpGet: { path: /healthz, port: metrics }
      readinessProbe:
        httpGet: { path: /readyz, port: metrics }
        periodSeconds: 5
        # The database has two seconds to take a write.
        timeoutSeconds: 4
      resources: {{- toYaml .Values.dataPlane.resources | nindent 8 }}
      securityContext: {{- include "whatsapp.containerSecurityContext" . | nindent 8 }}
      volumeMounts:
        {{- if eq $store "sqlite" }}
        - { name: data, mountPath: /var/lib/whatsapp }
        {{- else if .Values.store.postgres.caSecret }}
        - { name: store-ca, mountPath: /etc/whatsapp/store-ca, readOnly: true }
        {{- end }}
        - { name: config-cache, mountPath: /var/cache/whatsapp }
  volumes:
    # The last good configs, so that a container that restarts without the API server still serves.
    - name: config-cache
      emptyDir: { medium: Memory, sizeLimit: 64Mi }
    {{- with .Values.store.postgres }}
    {{- if .caSecret }}
    # Only the certificate, because such a Secret may also hold its private key.
    - name: store-ca
      secret: { secretName: {{ .caSecret }}, items: [{ key: {{ .caKey | quote }}, path: {{ .caKey | quote }} }] }
    {{- end }}
    {{- end }}
  {{- if eq $store "postgres" }}
  # Spread where the cluster allows it, so that the loss of a node or a zone does not end all replicas.
  topologySpreadConstraints:
    {{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
    - topologyKey: {{ . }}
      maxSkew: 1
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels: {{- include "whatsapp.dataPlane.selector" $ | nindent 10 }}
      # Only replicas of one version, or an upgrade would also count those that it replaces.
      matchLabelKeys: [pod-template-hash]
    {{- end }}
  {{- end }}
  {{- include "whatsapp.scheduling" .Values.dataPlane | nindent 2 }}
{{- end }}
