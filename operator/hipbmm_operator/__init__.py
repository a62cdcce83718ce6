"""The control plane of hipbmm-operator: reconciles HipbmmDeployments, and serves HipbmmProfiles.

In: objects of the API server, and settings (`settings.py`). Out: children, statuses and Events; `manager.py` wires the
rooms. Never: torch, or an import of the kernel program: docs/pod-contract.md is all that the two share.
"""

__version__ = "0.1.0"
