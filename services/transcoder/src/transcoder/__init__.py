"""The transcoder: everything that brings bytes in, and makes the ladder of renditions out of them.

A recording arrives by upload or fetch, is probed, and waits in storage. A job plans its ladder and cuts it
into chunks; any transcoder process takes a chunk, one ffmpeg makes all of its rungs, and the segments go into
storage and, as soon as they follow on without a hole, into the stream's ledger. Whoever dies, another process
goes on.
"""
