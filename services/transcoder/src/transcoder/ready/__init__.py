"""Ready segments: what others have encoded is taken in, put in order, and announced.

`ingest` lets segments in; an `attempt` probes and stores one, and lets the key-value store decide who was
first under its number. `announcing` appends what goes on without a hole; it may run anywhere, as often as one
likes. `watching` does so when nobody else would: when a feed begins, when a gap is due, and after a process
has died between the two. `claims` keeps streams that are pushed apart from those that are fed.
"""
