{{- /* The Brokers of the values as YAML documents. */}}
{{- define "umbel.brokers" -}}
{{- $root := . }}
{{- range $index, $broker := .Values.brokers }}
{{- if and $root.Values.watchNamespaces (not (has $broker.namespace $root.Values.watchNamespaces)) }}
{{- fail (printf "brokers[%d].namespace %q is not served: add it to watchNamespaces" $index $broker.namespace) }}
{{- end }}
{{- $connection := $broker.connection }}
{{- if not $connection }}
{{- if not $root.Values.redis.enabled }}
{{- fail (printf "brokers[%d] (namespace %q) has no connection: set connection.addresses to your Redis, or redis.enabled=true to try things out" $index $broker.namespace) }}
{{- end }}
{{- $connection = dict "addresses" (list (printf "%s.%s.svc:6379" (include "umbel.redis" $root) $root.Release.Namespace)) }}
{{- end }}
{{- $spec := dict "connection" $connection }}
{{- with $broker.keyPrefix }}{{ $_ := set $spec "keyPrefix" . }}{{ end }}
{{- with $broker.beat }}{{ $_ := set $spec "beat" . }}{{ end }}
---
apiVersion: umbel.dev/v1alpha1
kind: Broker
metadata:
  name: {{ default "default" $broker.name }}
  namespace: {{ $broker.namespace }}
  labels:
    app.kubernetes.io/part-of: umbel
    app.kubernetes.io/instance: {{ $root.Release.Name }}
    {{- with $root.Values.operatorClass }}
    umbel.dev/operator-class: {{ . | quote }}
    {{- end }}
spec:
  {{- toYaml $spec | nindent 2 }}
{{ end }}
{{- end }}

{{- define "umbel.brokersHook" -}}
helm.sh/hook: post-install,post-upgrade
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end }}
