{{/* Name of the chart, at most 63 characters. */}}
{{- define "hipbmm.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* Name of namespaced objects: the release, and the chart unless the release already says it. */}}
{{- define "hipbmm.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) }}
{{- default $full .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- end }}

{{/* Namespace of the operator. */}}
{{- define "hipbmm.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride }}
{{- end }}

{{/* Name of cluster-scoped objects: the namespace is part of it, so that releases of the same name in two namespaces do not meet. */}}
{{- define "hipbmm.clusterName" -}}
{{- printf "%s.%s" (include "hipbmm.fullname" .) (include "hipbmm.namespace" .) }}
{{- end }}

{{/* Fails if another release serves the same namespaces: each would overwrite what the other writes. Without a cluster nothing is looked up. */}}
{{- define "hipbmm.alone" -}}
{{- $mine := .Values.watchNamespaces }}
{{- range (lookup "rbac.authorization.k8s.io/v1" "ClusterRoleBinding" "" "").items }}
{{- $notes := default dict .metadata.annotations }}
{{- $release := printf "%s in namespace %s" (get $notes "meta.helm.sh/release-name") (get $notes "meta.helm.sh/release-namespace") }}
{{- if and (hasKey $notes "hipbmm.io/watches") (ne $release (printf "%s in namespace %s" $.Release.Name $.Release.Namespace)) }}
{{- $theirs := compact (splitList "," (get $notes "hipbmm.io/watches")) }}
{{- $shared := list }}
{{- range $theirs }}
{{- if has . $mine }}
{{- $shared = append $shared . }}
{{- end }}
{{- end }}
{{- if or (not $mine) (not $theirs) $shared }}
{{- fail (printf "release %s already serves %s: two operators over one namespace overwrite each other. Uninstall it, or set watchNamespaces of both to different namespaces" $release (ternary (join ", " $shared) (ternary (join ", " $theirs) "all namespaces" (not (empty $theirs))) (not (empty $shared)))) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "hipbmm.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "hipbmm.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- required "serviceAccount.name must be set when serviceAccount.create is false" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "hipbmm.selectorLabels" -}}
app.kubernetes.io/name: {{ include "hipbmm.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end }}

{{/* Labels of the pod: without versions, so that a new chart with the same pod does not restart it. */}}
{{- define "hipbmm.podLabels" -}}
{{- toYaml (merge (fromYaml (include "hipbmm.selectorLabels" .)) .Values.podLabels .Values.commonLabels) }}
{{- end }}

{{/* Labels of every object. A user's label never replaces one of the chart's own. */}}
{{- define "hipbmm.labels" -}}
{{- $own := fromYaml (include "hipbmm.selectorLabels" .) }}
{{- $_ := set $own "app.kubernetes.io/version" (.Chart.AppVersion | replace "+" "_" | trunc 63) }}
{{- $_ := set $own "app.kubernetes.io/managed-by" .Release.Service }}
{{- $_ := set $own "app.kubernetes.io/part-of" "hipbmm-operator" }}
{{- $_ := set $own "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-") }}
{{- toYaml (merge $own .Values.commonLabels) }}
{{- end }}

{{/* Image of the operator: the registry may be replaced, a digest wins over a tag. */}}
{{- define "hipbmm.image" -}}
{{- $repository := .Values.image.repository }}
{{- with default .Values.image.registry .Values.global.imageRegistry }}
{{- /* As container runtimes read it: the first part names a registry when it has a dot or a port, or is localhost. */}}
{{- $repository = printf "%s/%s" . (regexReplaceAll "^(localhost|[^/]*[.:][^/]*)/" $repository "") }}
{{- end }}
{{- if .Values.image.digest }}
{{- printf "%s@%s" $repository .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" $repository (default .Chart.AppVersion .Values.image.tag) }}
{{- end }}
{{- end }}

{{/* Settings of the operator. A user's variable replaces the chart's of the same name: the API refuses a name that is there twice. */}}
{{- define "hipbmm.env" -}}
{{- $env := list }}
{{- $env = append $env (dict "name" "HIPBMM_OPERATOR_NAMESPACE" "valueFrom" (dict "fieldRef" (dict "fieldPath" "metadata.namespace"))) }}
{{- $env = append $env (dict "name" "HIPBMM_IDENTITY" "valueFrom" (dict "fieldRef" (dict "fieldPath" "metadata.name"))) }}
{{- $env = append $env (dict "name" "HIPBMM_LEASE_NAME" "value" (include "hipbmm.fullname" .)) }}
{{- $env = append $env (dict "name" "HIPBMM_PAYLOAD_IMAGE" "value" (include "hipbmm.image" .)) }}
{{- $env = append $env (dict "name" "HIPBMM_PAYLOAD_PULL_POLICY" "value" .Values.image.pullPolicy) }}
{{- with .Values.watchNamespaces }}
{{- $env = append $env (dict "name" "HIPBMM_NAMESPACES" "value" (join "," .)) }}
{{- end }}
{{- $env = append $env (dict "name" "HIPBMM_HTTP_PORT" "value" "8080") }}
{{- $env = append $env (dict "name" "HIPBMM_WORKERS" "value" (toString .Values.workers)) }}
{{- $env = append $env (dict "name" "HIPBMM_RESYNC_SECONDS" "value" (toString .Values.resyncSeconds)) }}
{{- $env = append $env (dict "name" "HIPBMM_LOG_LEVEL" "value" .Values.log.level) }}
{{- $env = append $env (dict "name" "HIPBMM_LOG_FORMAT" "value" .Values.log.format) }}
{{- if .Values.injection.enabled }}
{{- $env = append $env (dict "name" "HIPBMM_INJECTION_NAME" "value" (include "hipbmm.injectionName" .)) }}
{{- if .Values.injection.webhook.enabled }}
{{- $env = append $env (dict "name" "HIPBMM_WEBHOOK_PORT" "value" "10250") }}
{{- if eq (include "hipbmm.certificateBy" .) "operator" }}
{{- $env = append $env (dict "name" "HIPBMM_WEBHOOK_SECRET" "value" (printf "%s-webhook" (include "hipbmm.fullname" .))) }}
{{- else }}
{{- $env = append $env (dict "name" "HIPBMM_WEBHOOK_CERTIFICATES" "value" "/certificates") }}
{{- end }}
{{- end }}
{{- end }}
{{- $fixed := list "HIPBMM_HTTP_PORT" "HIPBMM_WEBHOOK_PORT" "HIPBMM_LEASE_NAME" "HIPBMM_NAMESPACES" "HIPBMM_INJECTION_NAME" "HIPBMM_WEBHOOK_SECRET" }}
{{- range .Values.extraEnv }}
{{- if has .name $fixed }}
{{- fail (printf "extraEnv must not set %s: probes, Services and roles of the release are made for the chart's own value" .name) }}
{{- end }}
{{- end }}
{{- include "hipbmm.unless" (dict "key" "name" "own" $env "users" .Values.extraEnv) }}
{{- end }}

{{/* Volumes of the pod. A user's volume takes the place of the chart's of the same name. */}}
{{- define "hipbmm.volumes" -}}
{{- $own := list (dict "name" "tmp" "emptyDir" (dict "sizeLimit" "64Mi")) }}
{{- if has (include "hipbmm.certificateBy" .) (list "cert-manager" "user") }}
{{- /* Optional: the operator works without, and takes the certificate when it is there. */}}
{{- $secret := .Values.injection.webhook.secretName | default (printf "%s-webhook" (include "hipbmm.fullname" .)) }}
{{- $own = append $own (dict "name" "certificates" "secret" (dict "secretName" $secret "optional" true)) }}
{{- end }}
{{- include "hipbmm.unless" (dict "key" "name" "own" $own "users" .Values.extraVolumes) }}
{{- end }}

{{/* Mounts of the container. A user's mount takes the place of the chart's at the same path. */}}
{{- define "hipbmm.volumeMounts" -}}
{{- $own := list (dict "name" "tmp" "mountPath" "/tmp") }}
{{- if has (include "hipbmm.certificateBy" .) (list "cert-manager" "user") }}
{{- $own = append $own (dict "name" "certificates" "mountPath" "/certificates" "readOnly" true) }}
{{- end }}
{{- include "hipbmm.unless" (dict "key" "mountPath" "own" $own "users" .Values.extraVolumeMounts) }}
{{- end }}

{{/* The chart's entries that the user gives none for, by `key`; then the user's. The API refuses two with one key. */}}
{{- define "hipbmm.unless" -}}
{{- $given := dict }}
{{- range .users }}{{ $_ := set $given (trimSuffix "/" (get . $.key)) true }}{{ end }}
{{- $kept := list }}
{{- range .own }}{{ if not (hasKey $given (get . $.key)) }}{{ $kept = append $kept . }}{{ end }}{{ end }}
{{- toYaml (concat $kept .users) }}
{{- end }}

{{/* Rights in a served namespace. */}}
{{- define "hipbmm.rules.all" -}}
{{ include "hipbmm.rules.namespaced" . }}
{{- if .Values.rbac.secrets }}
{{ include "hipbmm.rules.secrets" . }}
{{- end }}
{{- if .Values.injection.enabled }}
{{ include "hipbmm.rules.injection" . }}
{{- if .Values.injection.preflight }}
{{ include "hipbmm.rules.preflight" . }}
{{- end }}
{{- end }}
{{- end }}

{{/* Beginning of the names of what injects pods: one release of a cluster may do so. */}}
{{- define "hipbmm.injectionName" -}}
{{ include "hipbmm.clusterName" . }}-injection
{{- end }}

{{/* Who makes the certificate of the webhook: operator, cert-manager or user; empty without a webhook. */}}
{{- define "hipbmm.certificateBy" -}}
{{- with .Values.injection }}
{{- if and .enabled .webhook.enabled }}
{{- if and .webhook.certManager .webhook.secretName }}
{{- fail "injection.webhook: set certManager or secretName, not both" }}
{{- end }}
{{- ternary "cert-manager" (ternary "user" "operator" (not (empty .webhook.secretName))) .webhook.certManager }}
{{- end }}
{{- end }}
{{- end }}
