"""The table in memory: inside the server, each `aiter.hipb_mm` call gets its verified index without a file.

In: the pod's table (`table`), written by `warm` and named by HIPBMM_DISPATCH_TABLE. vLLM loads `plugin` as a general
plugin in the API server, the engine and each worker. It waits for `aiter` to be imported and puts a function around
the public `aiter.hipb_mm`. The first call of it checks that the process has the stack of the table, unsets
HIP_ONLINE_TUNING and installs what `wrapper` makes: a planned problem runs its verified index, a size between planned
ones is padded where `warm` has measured that this pays, all else is hipBLASLt's own choice. `recorder` keeps two small
files per process: calls by result, and the problems that had no row (`demand_lines`: the next `warm` tunes them).

Never: an exception into vLLM, a file that is opened during a call, a lock in the path of a call, an index on another
stack. Whatever is unexpected leaves AITER as it was, and one line in the log says why.

`check` asks a child whether all this works on an image: one of the tuner's that has nothing left to tune
(`tuning_child`), or one of its own (`child`). The child also times the sizes that `bands` names (`race`), by the
function that serves. In `process_reports` the processes of a server say whether they serve from memory, `end_marks`
marks them until their orderly end. `demand` keeps in a store what production had no row for.

`kernel_plugin` is a plugin of its own: it gives the bundled HIPBMM kernel to a vLLM that has none (0.22). How vLLM
comes to load both is in `plugins`.

torch is imported by the first call, and in the child (`race`). Rooms above import the rest.
"""

PLUGIN = "hipbmm_dispatch"
"""The plugin that reads the table, as VLLM_PLUGINS names it."""
