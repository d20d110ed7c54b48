"""The etcd client: async, python-etcd3's verbs, several endpoints, watches that resume.

``client`` holds the verbs; ``endpoints`` decides where a request goes and whether it may be sent
twice; ``watch``, ``lease`` and ``lock`` are the things that live longer than one request. It
speaks to any etcd 3.4+ and to our own KV, over whatever byte stream a ``Dialer`` gives.
"""
