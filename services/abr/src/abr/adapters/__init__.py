"""What lies outside: the distributor, which knows the streams; NATS, which carries states and decisions."""
