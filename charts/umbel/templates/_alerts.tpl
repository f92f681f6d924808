{{- /* The groups of files/rules.yaml without the alerts that are switched off, and the rules of the values. */}}
{{- define "umbel.rules.groups" -}}
{{- $off := .Values.metrics.prometheusRule.disabled }}
{{- $known := list }}
{{- range $group := (.Files.Get "files/rules.yaml" | fromYaml).groups }}
{{- $kept := list }}
{{- range $group.rules }}
{{- $known = append $known .alert }}
{{- if not (has .alert $off) }}{{ $kept = append $kept . }}{{ end }}
{{- end }}
{{- if $kept }}
{{ toYaml (list (dict "name" $group.name "rules" $kept)) }}
{{- end }}
{{- end }}
{{- range $off }}
{{- if not (has . $known) }}
{{- fail (printf "metrics.prometheusRule.disabled: there is no alert %q; known are %s" . (join ", " $known)) }}
{{- end }}
{{- end }}
{{- with .Values.metrics.prometheusRule.additional }}
{{ toYaml (list (dict "name" "umbel-additional" "rules" .)) }}
{{- end }}
{{- end }}
