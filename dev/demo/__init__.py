"""`make demo`: one `kubectl apply` becomes tuned, warm, serving replicas on a real Kubernetes.

Each step is checked, and the end-to-end tests call the same steps, so what a person watches is what CI proves.
"""
