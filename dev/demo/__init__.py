"""`make demo`: one `kubectl apply` becomes tuned, warm, serving replicas on a real Kubernetes.

In: a cluster, the user's (KUBECONFIG) or one of `localkube`'s. Out: lines for a person, exit code 0 when every claim
held. tests/e2e call the same steps, so what a person watches is what CI proves. Never: a line that claims what was not
checked. Imported by tests only.
"""
