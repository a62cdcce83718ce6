"""A real Kubernetes on one Linux machine, built from Go modules: `python -m localkube --help`."""
