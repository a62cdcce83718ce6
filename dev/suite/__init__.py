"""The test suite as stages: what runs, in which environment, after which build, and a table of outcomes at the end.

In: the name of a stage, from the Makefile (`plan` has them). Out: the output of its tools, and exit code 0 when all of
them passed. Never: a test that is run again until it passes. Imported by its own unit tests only.
"""
