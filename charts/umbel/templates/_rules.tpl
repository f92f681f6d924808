{{- /*
The operator's rights: no Secrets, no exec, no Roles. `umbel.rules` is what it needs in each namespace that it serves;
`umbel.clusterRules` is what it needs besides to serve all of them.
*/}}
{{- define "umbel.rules" -}}
- apiGroups: [umbel.dev]
  resources: [brokers, taskqueues, workerpools, schedules]
  verbs: [get, list, watch, patch]
- apiGroups: [umbel.dev]
  resources: [brokers/status, taskqueues/status, workerpools/status, schedules/status]
  verbs: [get, patch]
- apiGroups: [umbel.dev]
  resources: [workerpools/scale]
  verbs: [get, patch]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [configmaps, services]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
# Where these are switched off, those that an operator made before are taken away.
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [{{ if .Values.networkPolicy.enabled }}get, list, watch, create, patch, delete{{ else }}list, delete{{ end }}]
- apiGroups: [monitoring.coreos.com]
  resources: [servicemonitors, podmonitors]
  verbs: [{{ if .Values.metrics.serviceMonitor.enabled }}get, list, watch, create, patch, delete{{ else }}list, delete{{ end }}]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch, patch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end }}

{{- define "umbel.clusterRules" -}}
- apiGroups: [apiextensions.k8s.io]
  resources: [customresourcedefinitions]
  verbs: [get, list, watch]
- apiGroups: [""]
  resources: [namespaces]
  verbs: [get, list, watch]
{{- if .Values.rbac.nodes }}
# A Node that is deleted: beat looks at the workers that were on it at once.
- apiGroups: [""]
  resources: [nodes]
  verbs: [list, watch]
{{- end }}
{{- end }}
