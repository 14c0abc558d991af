"""The world outside the distributor: JetStream."""
