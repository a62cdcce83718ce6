"""What admission adds to a vLLM pod that is not ours, as one table from which two programs are generated.

In: a pod as the API server has it at admission, and the recipe of a HipbmmProfile (`status.injection`). Out: a list of
JSON Patch operations. `table` has the rules, written with the terms of `expr`; each term is CEL text and a Python
function at once. `registration` puts the CEL into MutatingAdmissionPolicies; `patch` runs the functions, for the
webhook and to say why a pod is plain. `scripts` are the shell texts, `spelling` is all that both sides spell.

The patch strips what a former pass has added and adds it again, so it gives the same pod however often it runs, and
`hipbmm-warm` comes after the containers that other webhooks have added meanwhile. Never: a look-up, a value of the
pod's own author that is replaced, anything that can fail to mount or to pull. Pure. Any room above may import it.
"""
