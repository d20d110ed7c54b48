"""The cluster's core: the KV, its RPC and client, unit files, the registry, the scheduler. No
terminal, no SSH, no subprocess."""
