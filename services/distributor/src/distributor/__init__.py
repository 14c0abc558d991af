"""The distributor: keeper of streams and of their ledger.

When a transcoder has made a segment readable in storage, it appends the fact here. The distributor holds
the append against the laws of the ledger and the epoch of the owner, stores it in JetStream by
compare-and-set, and fans it out to every gateway that watches the stream. It keeps the registry, in which
each id under `/hls/` has its present incarnation. It never reads a media byte, and holds nothing that another
replica could not rebuild.
"""
