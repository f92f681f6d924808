{{- /* The first part of the names of objects, short enough that every suffix fits into 63 characters. */}}
{{- define "umbel.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 45 | trimSuffix "-" }}
{{- else }}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- if contains $name .Release.Name }}
{{- .Release.Name | trunc 45 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 45 | trimSuffix "-" }}
{{- end }}
{{- end }}
{{- end }}

{{- define "umbel.operator" -}}
{{ include "umbel.fullname" . }}-operator
{{- end }}

{{- define "umbel.redis" -}}
{{ include "umbel.fullname" . }}-redis
{{- end }}

{{- define "umbel.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "umbel.operator" .) .Values.serviceAccount.name }}
{{- else }}
{{- required "serviceAccount.create is false: say in serviceAccount.name which ServiceAccount the operator runs as" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- /* What every object bears. Never app.kubernetes.io/managed-by=umbel-operator: that marks what the operator makes. */}}
{{- define "umbel.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/part-of: umbel
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "umbel.operatorSelector" -}}
app.kubernetes.io/name: umbel-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "umbel.testHook" -}}
helm.sh/hook: test
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end }}

{{- define "umbel.redisSelector" -}}
app.kubernetes.io/name: umbel-redis
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- /* A reference to an image: dict with repository, tag, digest. */}}
{{- define "umbel.image" -}}
{{- if .digest }}
{{- printf "%s@%s" .repository .digest }}
{{- else }}
{{- printf "%s:%s" .repository .tag }}
{{- end }}
{{- end }}

{{- define "umbel.operatorImage" -}}
{{- $image := .Values.image }}
{{- include "umbel.image" (dict "repository" $image.repository "tag" (default .Chart.AppVersion $image.tag) "digest" $image.digest) }}
{{- end }}

{{- /* A digest belongs to one repository: that of `image` counts only where beatImage sets neither tag nor repository. */}}
{{- define "umbel.beatImage" -}}
{{- $beat := .Values.beatImage }}
{{- $image := .Values.image }}
{{- $repository := default $image.repository $beat.repository }}
{{- $tag := default (default .Chart.AppVersion $image.tag) $beat.tag }}
{{- $digest := $beat.digest }}
{{- if not (or $beat.digest $beat.tag $beat.repository) }}
{{- $digest = $image.digest }}
{{- end }}
{{- include "umbel.image" (dict "repository" $repository "tag" $tag "digest" $digest) }}
{{- end }}
