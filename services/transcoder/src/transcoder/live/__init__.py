"""Live streams: a publisher is let in, its stream taken over, and what it sends announced as it is encoded.

`admission` decides who may publish, `ownership` keeps a stream and shows that it is kept, `session` brings
one publisher's bytes through the encoder, `announcing` stores and appends what comes out, `closing` makes
whole what a run that died has left, and `standby` ends a stream for an owner that died.
"""
