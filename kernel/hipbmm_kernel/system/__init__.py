"""What the program asks of the operating system, so thin that tests can put any answer in its place.

`volume` has one method per system call on files, with the few compositions of them that all rooms need; `clock` is the
time, `stop` a request to end, `time_limits` a bound on work and on calls that may never return, `digest` a hash without
OpenSSL, `shown` foreign text in our own lines, `json_text` foreign JSON, `process` a child and its end.
Never: a decision. Imports nothing of this package; any room may import it.
"""
