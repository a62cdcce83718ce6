"""A real Kubernetes on one Linux machine, built from Go modules: `python -m localkube --help`.

In: pinned Go modules (`modules/`) and Debian packages. Out: a running instance with its kubeconfig, tools such as
kubectl and helm, images. README.md has the commands. Never: a trace on the machine that `down` does not remove, but for
the cache and Debian packages; anything of the operator or the kernel program. Imported by demo, suite, bench and tests.
"""
