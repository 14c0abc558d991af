"""The `weir` command: the whole suite on one machine, and the first things that one does with it.

`weir run` plans the processes (`plan`, pure), starts and watches them (`supervisor`), waits until they are
healthy (`health`), and, when nothing is stored yet, puts a sample through the public API (`sample`).
`weir upload` takes a recording of the user's own the same way.
"""
