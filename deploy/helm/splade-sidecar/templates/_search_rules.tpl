{{/*
Alerts of searches over HTTP. Reasons that the caller can mend, or that are of his making, are left out; names that are not to be
searched may be the operator's fault as well (an index deleted, a profile or an entry of search.indices gone), if most searches have them.
*/}}
{{- define "splade-sidecar.searchRules" -}}
{{- $values := .Values.metrics.prometheusRule -}}
{{- $from := printf "namespace=%q, job=%q" .Release.Namespace (printf "%s-metrics" (include "splade-sidecar.fullname" .)) -}}
{{- $all := printf "sum by (namespace, job) (rate(sidecar_searches_total{%s}[5m]))" $from -}}
{{- $names := "NOT_ALLOWED|PROFILE_INVALID|INDEX_NOT_FOUND" -}}
{{- $callers := printf "CANCELLED|INVALID_INPUT|EMPTY_TEXT|MALFORMED_TEXT|TEXT_TOO_LARGE|%s" $names -}}
- alert: SpladeSidecarSearchesFail
  expr: |-
    sum by (namespace, job, reason) (rate(sidecar_searches_total{{ "{" }}{{ $from }}, outcome="error", reason!~"{{ $callers }}"}[5m]))
      / on (namespace, job) group_left {{ $all }} > {{ $values.searchErrorShare }}
  for: 5m
  labels: {severity: critical}
  annotations:
    summary: Searches over HTTP fail.
    description: >-
      {{ "{{ $value | humanizePercentage }}" }} of the searches end with {{ "{{ $labels.reason }}" }}. Of ENGINE_..., the sidecar's log says what the
      cluster answers (the cluster can't be asked); OVERLOADED: as many searches are under way as max_searches lets in.
- alert: SpladeSidecarSearchesMisdirected
  expr: |-
    sum by (namespace, job, reason) (rate(sidecar_searches_total{{ "{" }}{{ $from }}, outcome="error", reason=~"{{ $names }}"}[5m]))
      / on (namespace, job) group_left {{ $all }} > {{ $values.searchMisdirectedShare }}
  for: 5m
  labels: {severity: critical}
  annotations:
    summary: Searches over HTTP ask for what there is not.
    description: >-
      {{ "{{ $value | humanizePercentage }}" }} of the searches end with {{ "{{ $labels.reason }}" }}: too many for a caller's slip. INDEX_NOT_FOUND: an index
      of search.indices was deleted, or its alias; PROFILE_INVALID: a profile of search.profiles is gone, or was called something else;
      NOT_ALLOWED: search.indices lacks what callers search, or they send bodies without search.bodies.
- alert: SpladeSidecarSearchesDegraded
  expr: |-
    sum by (namespace, job, reason) (rate(sidecar_searches_total{{ "{" }}{{ $from }}, outcome="degraded", reason!="NO_QUERY_TERMS"}[5m]))
      / on (namespace, job) group_left {{ $all }} > {{ $values.searchDegradedShare }}
  for: 10m
  labels: {severity: warning}
  annotations:
    summary: Searches over HTTP are answered without a stage.
    description: >-
      {{ "{{ $value | humanizePercentage }}" }} of the searches go without encoding, feedback or reranking: {{ "{{ $labels.reason }}" }}. Answers come, and
      are worse ones.
- alert: SpladeSidecarSearchesPartial
  expr: |-
    sum by (namespace, job) (rate(sidecar_partial_searches_total{{ "{" }}{{ $from }}}[5m]))
      / {{ $all }} > {{ $values.searchPartialShare }}
  for: 5m
  labels: {severity: warning}
  annotations:
    summary: Searches over HTTP lack documents.
    description: >-
      {{ "{{ $value | humanizePercentage }}" }} of the searches are answered without some of the cluster's shards, which failed or were late.
- alert: SpladeSidecarSearchesSlow
  expr: |-
    histogram_quantile(0.99, sum by (namespace, job, le) (rate(sidecar_request_duration_seconds_bucket{{ "{" }}{{ $from }}, method=~"/v1/search|/v1/search/body|/v1/augment"}[5m])))
      > {{ $values.searchSeconds }}
  for: 10m
  labels: {severity: warning}
  annotations:
    summary: Searches over HTTP are slow.
    description: >-
      One search in a hundred takes {{ "{{ $value | humanizeDuration }}" }} or more. sidecar_search_stage_duration_seconds tells by stage whether it is
      the cluster (retrieve) or a model.
{{- end -}}
