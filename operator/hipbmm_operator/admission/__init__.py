"""The admission webhook for pods that are not ours, where the API server has no MutatingAdmissionPolicy.

In: AdmissionReviews, and the profiles as the operator has them in memory. Out: the patch of `injection/`, or none.
Every answer allows the pod, whatever happens here: an error is logged and counted, and the pod is plain. No answer
waits for anything: the API server waits two seconds for it.

Never: a refusal, a request to the API server while one of its own is waiting. Imported by `apply/` and
`controller/`.
"""
