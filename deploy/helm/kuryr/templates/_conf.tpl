{{- /* Groups of options as kuryr.conf has them. */ -}}
{{- define "kuryr.conf" -}}
{{- range $group, $options := . }}
[{{ $group }}]
{{- range $name, $value := $options }}
{{- if kindIs "slice" $value }}
{{ $name }} = {{ join "," $value }}
{{- else if kindIs "float64" $value }}
{{ $name }} = {{ int64 $value }}
{{- else if not (kindIs "invalid" $value) }}
{{ $name }} = {{ toString $value | replace "\n" "\n " }}
{{- end }}
{{- end }}
{{ end }}
{{- end }}

{{- define "kuryr.controllerConf" -}}
{{- $config := deepCopy .Values.config }}
{{- $defaults := $config.neutron_defaults }}
{{- if not (or $defaults.pod_subnet $defaults.pod_subnets) }}
{{- fail "config.neutron_defaults.pod_subnet is not set: name the subnet of the pods" }}
{{- end }}
{{- if not $defaults.pod_security_groups }}
{{- fail "config.neutron_defaults.pod_security_groups is not set: name the security groups of the pods" }}
{{- end }}
{{- if .Values.caBundle }}
{{- $neutron := merge $config.neutron (dict "cafile" "/etc/ssl/certs/kuryr-ca-bundle.crt") }}
{{- $_ := set $config "neutron" $neutron }}
{{- end }}
{{- include "kuryr.conf" $config }}
{{- end }}

{{- /* The login. What kuryr.conf would take for a reference or for quotes is written so that it does not. */ -}}
{{- define "kuryr.credentials" -}}
[neutron]
{{- range $name, $value := .Values.credentials.neutron }}
{{- if not (kindIs "invalid" $value) }}
{{ $name }} = "{{ toString $value | replace "$" "$$" }}"
{{- end }}
{{- end }}
{{ end }}

{{- define "kuryr.credentialsSecret" -}}
{{- .Values.credentials.existingSecret | default "kuryr-credentials" }}
{{- end }}

{{- define "kuryr.controllerHealth" -}}
{{- dig "health_server" "port" 8082 .Values.config | int }}
{{- end }}

{{- define "kuryr.controllerMetrics" -}}
{{- dig "prometheus_exporter" "controller_exporter_port" 9654 .Values.config | int }}
{{- end }}

{{- define "kuryr.cniHealth" -}}
{{- dig "cni_health_server" "port" 8090 (.Values.cniConfig | default .Values.config) | int }}
{{- end }}

{{- define "kuryr.cniMetrics" -}}
{{- dig "prometheus_exporter" "cni_exporter_port" 9655 (.Values.cniConfig | default .Values.config) | int }}
{{- end }}

{{- define "kuryr.probe" -}}
httpGet: {path: {{ .path }}, port: {{ .port }}}
periodSeconds: {{ .period }}
initialDelaySeconds: {{ .delay }}
failureThreshold: {{ .failures }}
timeoutSeconds: 5
{{- end }}
