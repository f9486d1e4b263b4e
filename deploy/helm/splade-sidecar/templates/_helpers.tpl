{{- define "splade-sidecar.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 53 | trimSuffix "-" -}}
{{- end -}}

{{/* At most 53 characters: the longest ending of an object's name is "-headless". */}}
{{- define "splade-sidecar.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 53 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "splade-sidecar.name" . -}}
{{- ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) | trunc 53 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "splade-sidecar.selector" -}}
app.kubernetes.io/name: {{ include "splade-sidecar.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "splade-sidecar.labels" -}}
{{- $own := dict
  "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-")
  "app.kubernetes.io/name" (include "splade-sidecar.name" .)
  "app.kubernetes.io/instance" .Release.Name
  "app.kubernetes.io/version" .Chart.AppVersion
  "app.kubernetes.io/managed-by" .Release.Service
  "app.kubernetes.io/part-of" "splade-sidecar" -}}
{{- merge $own .Values.commonLabels | toYaml -}}
{{- end -}}

{{- define "splade-sidecar.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "splade-sidecar.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "splade-sidecar.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/* The settings file. Whole numbers are written as such: Helm's numbers are floats, and 1000000 would become 1e+06. */}}
{{- define "splade-sidecar.settings" -}}
{{- $settings := dict
  "bind" "0.0.0.0"
  "admin_bind" "0.0.0.0"
  "grpc_port" .Values.ports.grpc
  "http_port" .Values.ports.http
  "admin_port" .Values.ports.admin
  "grpc_max_connection_age" .Values.grpcConnections.maxAgeSeconds
  "grpc_max_connection_age_grace" .Values.grpcConnections.graceSeconds
  "http_max_connection_age" .Values.httpConnections.maxAgeSeconds
  "drain_delay" .Values.drain.delaySeconds
  "drain_grace" .Values.drain.graceSeconds -}}
{{- if .Values.models.names -}}
{{- $_ := set $settings "models" .Values.models.names -}}
{{- end -}}
{{- if include "splade-sidecar.tlsSecret" . -}}
{{- $_ := set $settings "tls_certificate" (printf "/etc/splade-sidecar-tls/%s" .Values.tls.certificateKey) -}}
{{- $_ := set $settings "tls_key" (printf "/etc/splade-sidecar-tls/%s" .Values.tls.privateKeyKey) -}}
{{- $_ := set $settings "tls_min_version" .Values.tls.minVersion -}}
{{- if .Values.tls.clientCAKey -}}
{{- $_ := set $settings "tls_client_ca" (printf "/etc/splade-sidecar-tls/%s%s" (ternary "clients/" "" (ne .Values.tls.clientCASecret "")) .Values.tls.clientCAKey) -}}
{{- $_ := set $settings "tls_http_mutual" .Values.tls.httpMutual -}}
{{- end -}}
{{- end -}}
{{- if .Values.search.engine -}}
{{- $_ := set $settings "search_engine" .Values.search.engine -}}
{{- $_ := set $settings "search_indices" .Values.search.indices -}}
{{- $_ := set $settings "search_bodies" .Values.search.bodies -}}
{{- $_ := set $settings "search_insecure" .Values.search.insecure -}}
{{- if .Values.search.profiles -}}
{{- $_ := set $settings "search_profiles" "/etc/splade-sidecar-profiles" -}}
{{- end -}}
{{- if .Values.search.apiKeySecret -}}
{{- $_ := set $settings "search_api_key_file" (printf "/etc/splade-sidecar-cluster/api-key/%s" .Values.search.apiKeySecretKey) -}}
{{- end -}}
{{- if .Values.search.caSecret -}}
{{- $_ := set $settings "search_ca" (printf "/etc/splade-sidecar-cluster/%s" .Values.search.caKey) -}}
{{- end -}}
{{- if .Values.search.clientSecret -}}
{{- $_ := set $settings "search_client_certificate" (printf "/etc/splade-sidecar-cluster/client/%s" .Values.search.clientCertificateKey) -}}
{{- $_ := set $settings "search_client_key" (printf "/etc/splade-sidecar-cluster/client/%s" .Values.search.clientPrivateKeyKey) -}}
{{- end -}}
{{- if .Values.search.awsRegion -}}
{{- $_ := set $settings "search_aws_region" .Values.search.awsRegion -}}
{{- $_ := set $settings "search_aws_service" .Values.search.awsService -}}
{{- end -}}
{{- end -}}
{{- if .Values.tracing.enabled -}}
{{- $_ := set $settings "tracing" "otlp" -}}
{{- end -}}
{{- $settings = merge $settings (deepCopy .Values.settings) -}}
{{- range $name, $value := $settings -}}
{{- if and (kindIs "float64" $value) (eq (floor $value) $value) -}}
{{- $_ := set $settings $name (int64 $value) -}}
{{- end -}}
{{- end -}}
{{- toYaml $settings -}}
{{- end -}}

{{/* How long a pod may take to end: before SIGTERM, draining, and 10 seconds to close. */}}
{{- define "splade-sidecar.terminationGrace" -}}
{{- $least := ceil (addf .Values.preStopSleepSeconds .Values.drain.delaySeconds .Values.drain.graceSeconds) | int -}}
{{- $given := .Values.terminationGracePeriodSeconds -}}
{{- if kindIs "invalid" $given -}}
{{- add $least 10 -}}
{{- else if le (int $given) $least -}}
{{- fail (printf "terminationGracePeriodSeconds (%d) must be above preStopSleepSeconds + drain.delaySeconds + drain.graceSeconds (%d): calls under way would be cut off." (int $given) $least) -}}
{{- else -}}
{{- int $given -}}
{{- end -}}
{{- end -}}

{{- define "splade-sidecar.checkDrain" -}}
{{- $unnoticed := mul .Values.readinessProbe.periodSeconds .Values.readinessProbe.failureThreshold -}}
{{- if le (float64 .Values.drain.delaySeconds) (float64 $unnoticed) -}}
{{- fail (printf "drain.delaySeconds (%v) must be above readinessProbe.periodSeconds × failureThreshold (%d): the pod would stop taking calls before anybody knows." .Values.drain.delaySeconds $unnoticed) -}}
{{- end -}}
{{- $longest := default 25 .Values.settings.request_timeout -}}
{{- if lt (float64 .Values.drain.graceSeconds) (float64 $longest) -}}
{{- fail (printf "drain.graceSeconds (%v) must not be below settings.request_timeout (%v): calls under way would be cut off." .Values.drain.graceSeconds $longest) -}}
{{- end -}}
{{- if and (gt (float64 .Values.grpcConnections.maxAgeSeconds) 0.0) (lt (float64 .Values.grpcConnections.graceSeconds) (float64 $longest)) -}}
{{- fail (printf "grpcConnections.graceSeconds (%v) must not be below settings.request_timeout (%v): calls under way would be cut off." .Values.grpcConnections.graceSeconds $longest) -}}
{{- end -}}
{{- end -}}

{{/* Values that Kubernetes, Prometheus or the sidecar would refuse later, or that would be passed over. */}}
{{- define "splade-sidecar.checkTogether" -}}
{{- if and .Values.tls.clientCASecret (not .Values.tls.clientCAKey) -}}
{{- fail "tls.clientCASecret needs tls.clientCAKey, the key in it: without, no client would be asked for a certificate." -}}
{{- end -}}
{{- if and .Values.tls.clientCAKey (not (include "splade-sidecar.tlsSecret" .)) -}}
{{- fail "tls.clientCAKey needs tls.existingSecret or tls.certManager.enabled: without TLS, no client shows a certificate." -}}
{{- end -}}
{{- if ne (list .Values.ports.grpc .Values.ports.http .Values.ports.admin | uniq | len) 3 -}}
{{- fail "ports.grpc, ports.http and ports.admin must be three numbers." -}}
{{- end -}}
{{- if eq (int .Values.service.grpcPort) (int .Values.service.httpPort) -}}
{{- fail "service.grpcPort and service.httpPort must be two numbers." -}}
{{- end -}}
{{- with .Values.autoscaling -}}
{{- if and .enabled (lt (int .maxReplicas) (int .minReplicas)) -}}
{{- fail (printf "autoscaling.maxReplicas (%v) must not be below autoscaling.minReplicas (%v)." .maxReplicas .minReplicas) -}}
{{- end -}}
{{- end -}}
{{- with .Values.metrics.serviceMonitor -}}
{{- if and .enabled (gt (include "splade-sidecar.milliseconds" .scrapeTimeout | int) (include "splade-sidecar.milliseconds" .interval | int)) -}}
{{- fail (printf "metrics.serviceMonitor.scrapeTimeout (%s) must not be above its interval (%s): Prometheus would not scrape." .scrapeTimeout .interval) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* A duration such as 1m30s. */}}
{{- define "splade-sidecar.milliseconds" -}}
{{- $unit := dict "ms" 1 "s" 1000 "m" 60000 "h" 3600000 -}}
{{- $sum := 0 -}}
{{- range regexFindAll "[0-9]+(ms|s|m|h)" . -1 -}}
{{- $sum = add $sum (mul (regexFind "[0-9]+" .) (get $unit (regexFind "[a-z]+" .))) -}}
{{- end -}}
{{- $sum -}}
{{- end -}}

{{- define "splade-sidecar.tlsSecret" -}}
{{- if and .Values.tls.certManager.enabled .Values.tls.existingSecret -}}
{{- fail "tls.existingSecret and tls.certManager.enabled exclude each other: cert-manager makes the secret." -}}
{{- else if .Values.tls.certManager.enabled -}}
{{- printf "%s-tls" (include "splade-sidecar.fullname" .) -}}
{{- else -}}
{{- .Values.tls.existingSecret -}}
{{- end -}}
{{- end -}}

{{- define "splade-sidecar.probe" -}}
httpGet:
  path: {{ .path }}
  port: admin
  scheme: HTTP
{{ toYaml .probe }}
{{- end -}}

{{- define "splade-sidecar.replicated" -}}
{{- if or (and .Values.autoscaling.enabled (gt (int .Values.autoscaling.minReplicas) 1)) (and (not .Values.autoscaling.enabled) (gt (int .Values.replicaCount) 1)) -}}
true
{{- end -}}
{{- end -}}

{{/* Whether there is a pod of `helm test`, and its labels: not those that the Services select, which would send their callers there. */}}
{{- define "splade-sidecar.tested" -}}
{{- if and .Values.tests.enabled (not (and (include "splade-sidecar.tlsSecret" .) .Values.tls.clientCAKey)) -}}
true
{{- end -}}
{{- end -}}

{{- define "splade-sidecar.testSelector" -}}
app.kubernetes.io/name: {{ include "splade-sidecar.name" . }}-test
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "splade-sidecar.tokenVariable" -}}
{{- if .Values.auth.existingSecret -}}
- name: SIDECAR_AUTH_TOKEN
  valueFrom:
    secretKeyRef:
      name: {{ .Values.auth.existingSecret }}
      key: {{ .Values.auth.secretKey }}
{{- end -}}
{{- end -}}

{{- define "splade-sidecar.searchVariables" -}}
{{- if and .Values.search.engine .Values.search.existingSecret -}}
- name: SIDECAR_SEARCH_USER
  valueFrom:
    secretKeyRef:
      name: {{ .Values.search.existingSecret }}
      key: {{ .Values.search.userKey }}
- name: SIDECAR_SEARCH_PASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ .Values.search.existingSecret }}
      key: {{ .Values.search.passwordKey }}
{{- end -}}
{{- end -}}

{{/* API key, authorities of the cluster's certificate, and what is shown to it: whether there is any of it. */}}
{{- define "splade-sidecar.clusterFiles" -}}
{{- if and .Values.search.engine (or .Values.search.apiKeySecret .Values.search.caSecret .Values.search.clientSecret) -}}
true
{{- end -}}
{{- end -}}

{{- define "splade-sidecar.checkSearch" -}}
{{- if and .Values.search.engine (not .Values.search.indices) -}}
{{- fail "search.indices must name what may be searched: with search.engine alone the sidecar does not start." -}}
{{- end -}}
{{- if and .Values.search.indices (not .Values.search.engine) -}}
{{- fail "search.indices means nothing without search.engine." -}}
{{- end -}}
{{- if and .Values.search.apiKeySecret (or .Values.search.existingSecret .Values.search.awsRegion) -}}
{{- fail "search.apiKeySecret stands for user and password, and for a signature: leave out search.existingSecret and search.awsRegion, or the key." -}}
{{- end -}}
{{- end -}}

{{/* Egress of the network policy: names, and the cluster's ports, as they stand in the addresses; opensearch-py's own where there is none. */}}
{{- define "splade-sidecar.searchEgress" -}}
{{- $ports := list -}}
{{- range splitList "," .Values.search.engine -}}
{{- $url := urlParse (trim .) -}}
{{- $written := regexFind "[0-9]+$" (regexFind ":[0-9]+$" $url.host) -}}
{{- $ports = append $ports (int (default (ternary "443" "9200" (eq $url.scheme "https")) $written)) -}}
{{- end -}}
- ports:
    - port: 53
      protocol: UDP
    - port: 53
      protocol: TCP
- ports:
    {{- range uniq $ports }}
    - port: {{ . }}
      protocol: TCP
    {{- end }}
  {{- with .Values.networkPolicy.cluster }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}
