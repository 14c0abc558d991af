"""What every Weir service is bolted on: settings, errors, gRPC, NATS, storage, telemetry, life and death.

Nothing in here knows about HLS, but for `layout`: the one address book of storage keys, NATS subjects and
buckets.
"""
