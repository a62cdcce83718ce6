"""The sidecar: what AITER finds while the server runs becomes shards, and the pod gets metrics and probes.

In: the served file that AITER appends to, report.json of `warm`, state.json of `exec`. Out: shards of new rows, the
same as lines of its log where there is a mirror, /metrics, /healthz and /readyz, and now and then a compacted store.

`harvester` follows the file, takes rows to a publish queue and remembers how far it came, `mirror_writer` writes them
into the log, `dispatch_files` reads what the serving processes count, `demand_publisher` publishes the problems that
had no row, `background_compaction` starts a child, `http` and `metrics` answer, `sidecar` is the loop. One thread does
all but publishing.
Never: a write to the served file, a wait for the volume, a row published as verified, a row whose stack is not known.
Imported by `__main__` only; it starts within 20 MB, so it imports neither argparse nor subprocess.
"""
