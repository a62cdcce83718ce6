"""The plan that the serving image itself gives: its own vLLM is asked, in a child process that may die.

In: the server's arguments and environment. The child (`child`) lets vLLM parse them (`engine`), build its configuration
and then the model on the meta device (`layers`), and asks its graph dispatcher which numbers of tokens run (`sizes`).
Out: an `Answer` of the planner: every linear with its (N, K, bias) and the kernel class that vLLM chose, and tokens.
The parent (`oracle`) has a deadline and a memory bound, and starts a child that failed a second time. The answer is
kept in the stores (`kept_plan`), so that one pod per (model, command line, image) pays for it.

What one process alone needs to build a model is in `single_process`, one function per need. What is unknown there ends
in an error that the parent reports, and the built-in planner takes over.
Never: a weight read, a GPU opened, a network used but for what the server itself would fetch, a crash of the pod.
torch and vLLM are imported by the child alone, inside functions. Imported by `pod`.
"""
