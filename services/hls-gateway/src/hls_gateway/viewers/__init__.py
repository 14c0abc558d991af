"""Who watches, what they were sent, and what they should play: measured here, decided elsewhere."""
