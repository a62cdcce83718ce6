"""What this container is: the stack that rows are valid for, read from files in milliseconds.

In: sysfs and /dev (`gpu`), ROCm's libraries and solution databases (`hipblaslt`), installed Python packages
(`software`), the environment.
Out: `container.read_identity` gives a `stack.Stack`, how many GPUs there are, and notes for people. The key is a hash
of the stack.

Never: torch, HIP or a subprocess; an exception; a key when a mandatory part is unknown (rows of an unknown stack may
be another build's). What differs between two containers and changes solution indices must change the key.
`tune.attest` compares the same parts with what torch and the loaded libraries say. Any room above may import it.
"""
