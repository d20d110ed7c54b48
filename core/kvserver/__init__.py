"""etcd's services on the store, Lock and Election on those, and the two of gRPC itself.

A service is a class whose methods are handlers of ``core.rpc``; ``server`` puts them together.
Headers, codes and texts are etcd's, because clients match on them.
"""
