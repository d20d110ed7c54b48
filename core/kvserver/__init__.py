"""etcd's services on the store: KV, Watch, Lease, Maintenance, Cluster, Auth.

A service is a class whose methods are handlers of ``core.rpc``; ``services`` puts them together.
Headers, codes and texts are etcd's, because clients match on them.
"""
