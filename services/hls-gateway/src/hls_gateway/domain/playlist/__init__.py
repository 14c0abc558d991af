"""The text of playlists; no playlist is written anywhere else."""
