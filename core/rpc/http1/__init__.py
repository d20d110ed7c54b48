"""HTTP/1.1 on the port of the RPC server: health checks, metrics, the JSON gateway, curl.

Bytes are taken apart without I/O (``request``, ``body``, ``parser``), answers are built by
``response``; ``connection`` puts both on a transport and runs one handler at a time, which sees
its request and its answer as an ``Exchange``. What a proxy in front might read differently than we
do (RFC 9112, 11.2) is refused rather than repaired.
"""
