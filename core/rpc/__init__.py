"""gRPC over HTTP/2, written for this program: framing without I/O, then a server and a channel.

Why our own: grpc.aio answers 2-3 thousand calls a second on one core where this framing answers
forty thousand, and it cannot run over an SSH channel. What was not chosen: grpclib (h2 and hpack,
2 thousand) and grpcio (its own event loop, no foreign byte streams).

The layers, each knowing only those above it in this list:

* ``frames``, ``huffman``, ``header_decoder``, ``header_block``, ``messages``: bytes in, values
  out, and back.
* ``send_side``, ``stream``, ``connection``: HTTP/2 itself, both windows, without a socket or a
  loop. ``server_connection`` and ``client_connection`` are its two roles.
* ``wire``: puts a connection on an asyncio transport (a socket, TLS, an SSH channel).
* ``server``, ``channel``, ``dial``: what the rest of the program uses.
"""
