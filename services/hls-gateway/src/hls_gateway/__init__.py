"""hls-gateway: playlists, media and pages over HTTP.

A request names a stream; the gateway follows that stream's timeline at the distributor, folds its records
(`domain/timeline.py`), and renders every playlist of the stream the moment a record arrives
(`domain/playlist/`), so that a viewer's request finds the answer ready. Media bytes come from memory, or from
object storage by way of it. All that it holds, another gateway could rebuild from the ledger.
"""
