"""The mirror: shards of tuned rows in a ConfigMap, for pods that can share no volume (adr/0007).

In: log lines and ConfigMaps that anybody may have written, as text and as `MirrorMap`. Out: checked shards
(`shards`), the content that the mirror should have (`content`), the state of one resource's mirror (`state`), its
ConfigMaps and the writes that lead there (`steps`).

Invariants: pure; a shard that is not whole does not exist; rows are never lost by a write, because an immutable copy is
made before what pods mount is changed; the content is bounded by what a ConfigMap holds; the name that pods mount never
changes. `observe/` reads logs into it, `watch/` keeps its summary of a ConfigMap, `plan/` takes its steps, `apply/`
keeps the rows of a profile by it.
"""
