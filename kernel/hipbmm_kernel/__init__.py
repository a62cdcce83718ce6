"""The program that runs in a serving pod: it plans, tunes, verifies, stores and serves hipBLASLt solution rows.

Nothing is imported here on purpose: `warm` on a complete store must start in a fraction of a second.
"""

__version__ = "0.1.0"
