"""Both ends of the SSH link.

A service listens on unix sockets; SSH carries their bytes. On the host's side the relay
(``c101-agent --stdio ROLE`` behind the host's own sshd) or, where there is no sshd, the gateway; on
the console's side the dialer, which hands an RPC channel a byte stream.

asyncssh costs most of a second to import. It is behind ``gateway_server``, ``connection`` and
``channel_stream``, which are loaded when the first link is made and by nobody else.
"""
