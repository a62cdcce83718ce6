{{/* Rights of the operator, generated from operator/hipbmm_operator/rbac.yaml, which has the reasons. */}}

{{/* In the namespaces it manages. */}}
{{- define "hipbmm.rules.namespaced" -}}
- apiGroups: [hipbmm.io]
  resources: [hipbmmdeployments]
  verbs: [get, list, watch]
- apiGroups: [hipbmm.io]
  resources: [hipbmmdeployments/status]
  verbs: [patch]
- apiGroups: [hipbmm.io]
  resources: [hipbmmdeployments/finalizers]
  verbs: [update]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch]
- apiGroups: [apps]
  resources: [controllerrevisions]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [services]
  verbs: [get, list, watch, create, patch]
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [monitoring.coreos.com]
  resources: [servicemonitors]
  verbs: [get, create, patch, delete]
- apiGroups: [resource.k8s.io]
  resources: [resourceclaimtemplates]
  verbs: [get, list, create, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch]
- apiGroups: [""]
  resources: [pods/log]
  verbs: [get]
- apiGroups: [""]
  resources: [limitranges]
  verbs: [list]
- apiGroups: [""]
  resources: [namespaces]
  verbs: [get]
- apiGroups: [""]
  resources: [events]
  verbs: [list, create]
{{- end }}

{{/* Of the cluster, to read only. */}}
{{- define "hipbmm.rules.cluster" -}}
- apiGroups: [""]
  resources: [nodes]
  verbs: [list, watch]
- apiGroups: [resource.k8s.io]
  resources: [resourceslices, deviceclasses]
  verbs: [list, watch]
- apiGroups: [nfd.k8s-sigs.io]
  resources: [nodefeatures]
  verbs: [list]
- apiGroups: [storage.k8s.io]
  resources: [storageclasses]
  verbs: [get, list]
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

{{/* In the namespaces it manages, if rbac.secrets is set. */}}
{{- define "hipbmm.rules.secrets" -}}
- apiGroups: [""]
  resources: [secrets]
  verbs: [get]
{{- end }}

{{/* In the namespaces it manages, with injection.enabled. */}}
{{- define "hipbmm.rules.injection" -}}
- apiGroups: [hipbmm.io]
  resources: [hipbmmprofiles]
  verbs: [list]
- apiGroups: [hipbmm.io]
  resources: [hipbmmprofiles/status]
  verbs: [patch]
- apiGroups: [hipbmm.io]
  resources: [hipbmmprofiles/finalizers]
  verbs: [update]
- apiGroups: [""]
  resources: [resourcequotas]
  verbs: [list]
{{- end }}

{{/* There as well, with injection.preflight. */}}
{{- define "hipbmm.rules.preflight" -}}
- apiGroups: [""]
  resources: [pods]
  verbs: [create]
{{- end }}

{{/* Of the cluster, with injection.enabled. */}}
{{- define "hipbmm.rules.injection_cluster" -}}
- apiGroups: [admissionregistration.k8s.io]
  resources: [mutatingadmissionpolicybindings, mutatingwebhookconfigurations]
  verbs: [list]
{{- end }}

{{/* In its own namespace, for a webhook whose certificate it makes. */}}
{{- define "hipbmm.rules.webhook" -}}
- apiGroups: [""]
  resources: [secrets]
  resourceNames: [{{ include "hipbmm.fullname" . }}-webhook]
  verbs: [get, update]
{{- end }}

{{/* Of the cluster, likewise. */}}
{{- define "hipbmm.rules.webhook_cluster" -}}
- apiGroups: [admissionregistration.k8s.io]
  resources: [mutatingwebhookconfigurations]
  resourceNames: [zz-{{ include "hipbmm.injectionName" . }}]
  verbs: [get, patch]
{{- end }}
