"""Figures with a range file: speed, memory and API load, as ratios or counts where a machine is shared.

In: the name of a benchmark (`python -m bench -h` lists them). Out: its figures beside the limits of `ranges.json`, and
exit code 0 when all are within. Never: a limit that is kept in code. Imported by unit tests only.
"""
