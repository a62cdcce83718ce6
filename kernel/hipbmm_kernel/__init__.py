"""The program that runs in a serving pod: it plans, tunes, verifies, stores and serves hipBLASLt solution rows.

In: HIPBMM_* variables, and the image that it runs in. Out: what docs/pod-contract.md says. Never: an import of the
operator; of anything but the standard library, outside of child processes, the server's own processes and `linear/`.

Nothing is imported here on purpose: `warm` on a complete store must start in a fraction of a second.
"""

__version__ = "0.1.0"
