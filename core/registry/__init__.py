"""What the cluster wants and what it reports, as keys in the KV.

``keyspace`` builds and parses every path, ``records`` turns values into model objects and back,
``mirror`` keeps a
``ClusterState`` current by one watch, ``registry`` holds the verbs (submit, set target, destroy,
cordon ...) as transactions.
"""
