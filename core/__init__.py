"""The cluster's core: KV, RPC, client, unit files, registry, scheduler.

No terminal, no SSH and no subprocess is known here.
"""
