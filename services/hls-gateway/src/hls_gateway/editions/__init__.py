"""The streams in use: each followed, folded, and printed the moment a record arrives."""
