{{/* Rights of the operator. They are those of operator/hipbmm_operator/rbac.yaml, which says what each is for; a test compares them. */}}

{{/* In the namespaces it manages. */}}
{{- define "hipbmm.rules.namespaced" -}}
- apiGroups: [hipbmm.io]
  resources: [hipbmmdeployments]
  verbs: [get, list, watch]
- apiGroups: [hipbmm.io]
  resources: [hipbmmdeployments/status]
  verbs: [patch]
{{- end }}

{{/* Of the cluster, to read only. */}}
{{- define "hipbmm.rules.cluster" -}}
- apiGroups: [""]
  resources: [nodes]
  verbs: [get, list, watch]
{{- end }}

{{/* In its own namespace. */}}
{{- define "hipbmm.rules.own" -}}
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [{{ include "hipbmm.fullname" . }}]
  verbs: [get, update]
{{- end }}
