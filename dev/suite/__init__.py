"""The test suite as stages: what runs, in which environment, after which build, and a table of outcomes at the end."""
