"""A HipbmmProfile and the pods that it is for: what is true, and what admission may do next.

In: the profile, its pods as values (`pods`), and what was read of the cluster (`facts`). Out: the recipe that admission
follows (`recipe`), the trials of images and the trip after which no pod is injected any more (`trials`), and the status
(`report`). The recipe is ready only while nothing is known that would keep an injected pod from starting.

Never: a write, a change of a pod that runs, a recipe whose kernel program has not been read back. Pure. Any
room above may import it.
"""
