{{/* The labels of every object: those of the kustomize base, and Helm's. */}}
{{- define "tpa.labels" -}}
app.kubernetes.io/name: tpa
app.kubernetes.io/part-of: tpa
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* What selects the webhook's pods. */}}
{{- define "tpa.webhook.selector" -}}
app.kubernetes.io/name: tpa
app.kubernetes.io/component: webhook
{{- end }}

{{/* An image's name: (dict "root" $ "image" .Values.webhook.image). */}}
{{- define "tpa.image" -}}
{{- $registry := .image.registry | default .root.Values.image.registry -}}
{{- with $registry }}{{ . }}/{{ end -}}
{{- .image.repository -}}
{{- if .image.digest }}@{{ .image.digest }}
{{- else }}:{{ .image.tag | default .root.Values.image.tag | default (printf "v%s" .root.Chart.AppVersion) }}
{{- end }}
{{- end }}

{{/* An image's pull policy, or nothing; the same arguments. */}}
{{- define "tpa.pullPolicy" -}}
{{- .image.pullPolicy | default .root.Values.image.pullPolicy -}}
{{- end }}

{{/* matchExpressions as a selector's text. */}}
{{- define "tpa.selector" -}}
{{- range $i, $e := . }}
{{- if $i }},{{ end }}
{{- if eq $e.operator "In" }}{{ $e.key }} in ({{ join "," $e.values }})
{{- else if eq $e.operator "NotIn" }}{{ $e.key }} notin ({{ join "," $e.values }})
{{- else if eq $e.operator "Exists" }}{{ $e.key }}
{{- else }}!{{ $e.key }}
{{- end }}
{{- end }}
{{- end }}

{{/* Labels or annotations as key=value,...; a pair with a comma or a quote in it as in CSV. */}}
{{- define "tpa.pairs" -}}
{{- $pairs := list }}
{{- range $key, $value := . }}
{{- $pair := printf "%s=%s" $key $value }}
{{- if regexMatch "[\",\r\n]" $pair }}
{{- $pair = printf "\"%s\"" (replace "\"" "\"\"" $pair) }}
{{- end }}
{{- $pairs = append $pairs $pair }}
{{- end }}
{{- join "," $pairs }}
{{- end }}

{{/* What every pod and container is allowed: the restricted pod security standard. */}}
{{- define "tpa.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "tpa.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* The webhook's flags that values set; one that is empty is left to its default. */}}
{{- define "tpa.webhook.args" -}}
{{- $proxy := .Values.proxy }}
{{- $flags := list
  (list "proxy-pod-labels" (include "tpa.pairs" $proxy.podLabels))
  (list "proxy-pod-annotations" (include "tpa.pairs" $proxy.podAnnotations))
  (list "proxy-image-pull-policy" (include "tpa.pullPolicy" (dict "root" . "image" $proxy.image)))
  (list "proxy-cpu" $proxy.resources.requests.cpu)
  (list "proxy-memory" $proxy.resources.requests.memory)
  (list "proxy-cpu-limit" $proxy.resources.limits.cpu)
  (list "proxy-memory-limit" $proxy.resources.limits.memory)
  (list "proxy-priority-class" $proxy.priorityClassName)
  (list "proxy-node-selector" (include "tpa.pairs" $proxy.nodeSelector))
  (list "namespace-selector" (include "tpa.selector" .Values.namespaceSelector))
  (list "settle-time" .Values.timing.settleTime)
  (list "restore-timeout" .Values.timing.restoreTimeout)
  (list "linger" .Values.timing.linger)
  (list "step-aside-after" .Values.timing.stepAsideAfter)
  (list "step-aside-backoff" .Values.timing.stepAsideBackoff)
  (list "proxy-drain" .Values.timing.proxyDrain)
  (list "shutdown-delay" .Values.timing.shutdownDelay)
  (list "status-bind-address" (ternary "127.0.0.1:8082" "" .Values.statusPage.enabled)) }}
{{- range .Values.imagePullSecrets }}
{{- $flags = append $flags (list "proxy-pull-secret" .) }}
{{- end }}
{{- with $proxy.tolerations }}
{{- $flags = append $flags (list "proxy-tolerations" (toJson .)) }}
{{- end }}
{{- range $proxy.extraArgs }}
{{- $flags = append $flags (list "proxy-arg" .) }}
{{- end }}
{{- $args := list }}
{{- range $flags }}
{{- $value := toString (index . 1) }}
{{- if $value }}
{{- $args = append $args (printf "--%s=%s" (index . 0) $value) }}
{{- end }}
{{- end }}
{{- with concat $args .Values.webhook.extraArgs }}
{{- toYaml . }}
{{- end }}
{{- end }}
