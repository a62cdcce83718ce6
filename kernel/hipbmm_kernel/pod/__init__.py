"""The commands that run in a serving pod: `payload`, `warm` and `exec`.

In: HIPBMM_* variables, sysfs and the image's files, the stores, the state of earlier starts.
Out: the served file in `work/`, report.json and the termination message (`warm`), state.json and the server's
environment (`exec`), the program itself (`payload`).

`warm` goes through identity, plan, table of the stores, tuning, served file, report; with everything restored it starts
no child and never imports torch. `verdict` and `start_mode` decide and are pure; the other files act.
Never: an exception that keeps the server from starting, a second start that repeats a crash of ours for ever, a write
to the shared store from here (publishing is `store`'s). Imported by the rooms above and by `__main__`.
"""
