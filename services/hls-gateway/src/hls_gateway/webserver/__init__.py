"""A small HTTP/1.1 server, and what HTTP asks of any answer: nothing in here knows about HLS."""
