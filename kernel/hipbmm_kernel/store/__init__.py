"""The store: a directory of immutable shards per key, and the table that they make. No lock, leader, append or rename.

In: rows and vetoes of this pod, and directories in which anybody may have written anything. Out: the table of a key,
shards that are on the volume for certain, few shards in place of many, a store as one file.

`shard` and `shard_lines` are the format, `table` its merge (a join: order and repetition do not matter), `reader` and
`read_order` read what one reading may cost, `publisher` and `publish_queue` write, `compaction` decides and `compactor`
acts, `archive` moves a store, `mirror_log` puts shards into a log, `plans` are small files beside the shards, `frames`
is for what travels beside them, `shard_origin` says who writes, `tail` follows the file that AITER appends to.
Never: a lost row that was acknowledged, a line that was not checked, a link followed inside a store, a file of anybody
else removed or changed (plans lie beside the keys), a veto of one node that binds another. Rooms above import it.
"""
