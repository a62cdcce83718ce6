"""The command line of a server that we did not write, from the pod's own argv: nothing is executed. Pure.

In: the argv of a container, its environment, and whether the argv has a command or is arguments for an unknown
ENTRYPOINT. Out: a `Server` of `command` (model, arguments of vLLM, variables that a script sets), or an `Unread` with a
word for why: a form that is not understood is never guessed.

`words` cuts shell text into tokens, `grammar` makes a tree of them, `shell` walks the tree with the variables that are
known (`values`; `conditions` decides tests and what runs behind `&&` and `||`, `builtin` has the shell's own commands;
`work` bounds the steps of it all),
`command` finds vLLM in an argv, `flags` separates what a plan depends on from what differs between pods.
Never: a process, a file, a value that only running the script would show. Any room above may import it.
"""
