"""Pure rules: from the ledger's records to the text of playlists."""
