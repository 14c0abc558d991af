"""What every Weir service is bolted on: settings, errors, gRPC, NATS, storage, telemetry, life and death.

Nothing in here knows about HLS, but for `layout`: the one address book of storage keys, NATS subjects and
buckets.
"""

import os

# For children that go on to speak gRPC; ours become ffmpeg, and each fork would cost a line in the log.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")
