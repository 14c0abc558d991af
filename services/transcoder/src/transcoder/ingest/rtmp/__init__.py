"""RTMP ingest, as OBS and ffmpeg speak it: one port, the stream key says which stream.

From the socket inwards: `handshake`, `chunk_reader` (bytes to messages), `amf`, `commands` (what they say),
`conversation` (what is answered), `flv` (media messages to the bytes that a session takes). All of these are
pure; `wire`, `connection` and `server` alone wait and touch sockets. "Chunk" is RTMP's own word here: a piece
of a message on the wire.

Written against Adobe's "Real-Time Messaging Protocol" 1.0 (here RTMP), "AMF 0" (AMF0), "Video File Format"
10.1 (FLV), and Veovera's "Enhanced RTMP" v2 (E-RTMP).
"""
