"""The control plane of hipbmm-operator: reconciles HipbmmDeployment resources."""

__version__ = "0.1.0"
