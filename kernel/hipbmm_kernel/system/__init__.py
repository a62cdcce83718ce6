"""What the program asks of the operating system, so thin that tests can put any answer in its place.

`volume` has one method per system call on files, with the few compositions of them that all rooms need; `clock` is the
time, `stop` a request to end, `time_limits` a bound on work and on calls that may never return, `digest` a hash without
OpenSSL, `shown` foreign text in our own lines, `json_text` foreign JSON, `own_program` the command that starts a part
of this program, `process` a child and its end, `process_tree` all that it starts, `memory` what the container has left
and whether a process was killed for it, `files` what a file holds that may not be there.
Never: a decision. Imports no other room; any room may import it.
"""
