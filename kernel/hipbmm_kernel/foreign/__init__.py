"""The commands of a pod that is not ours: `warm -- ARGV` and `exec --foreign`, and what counts starts without `exec`.

In: the server's own argv and environment (`warm` runs in a copy of its container), HIPBMM_* variables of the profile.
Out: report and termination message as in a pod of ours, the dispatch table, and the variables with which the server
serves it: in the file `env`, which kubelet reads at each start, or set by `exec --foreign`.

Never: an exit status other than 0 from `warm`, a run beyond its deadline, more memory than the container has left, a
server that does not start because of us, a working directory or an argument that is not the user's, a guess of what
a command line means. Imported by `__main__` only.
"""
