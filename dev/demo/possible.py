"""`python -m demo.possible`: whether the demo can run here at all, asked before anything is installed or built.

The standard library only: it runs with any Python, before there is an environment.
"""

import os
import sys
from collections.abc import Mapping

NO_CLUSTER = """\
The demo needs a Kubernetes cluster and found none that it may use:
  * KUBECONFIG is not set, and
  * this user is not root, so a one-node cluster (kubelet, containerd) cannot be made here.
Ways out:
  1. sudo make demo        makes a private one-node cluster with simulated GPUs; `sudo make cluster-down` removes it
  2. KUBECONFIG=~/.kube/config HIPBMM_OPERATOR_IMAGE=registry.example/hipbmm/operator:0.1.0 \\
     HIPBMM_SERVING_IMAGE=vllm/vllm-openai-rocm:v0.23.0 make demo
                           uses your cluster and its AMD GPUs; it must be able to pull both images (docs/install.md)
  3. make unit             needs neither root nor a cluster
"""


def obstacle(environment: Mapping[str, str], user: int) -> str | None:
    """Why the demo cannot run for this user id in this environment, with the ways out; None when it can."""
    return None if user == 0 or environment.get("KUBECONFIG") else NO_CLUSTER


if __name__ == "__main__":
    found = obstacle(os.environ, os.geteuid())
    if found is not None:
        sys.stderr.write(found)
        sys.exit(1)
