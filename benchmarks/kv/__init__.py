"""The KV beside a real etcd: every figure is a ratio of rounds that ran in turn on one disk.

``servers`` starts both, ``generator`` drives them with a client in C that costs a few percent of
a processor, ``work`` says what is measured and what is to be reached, ``rounds`` measures it.
``data``, ``interference``, ``growth`` and ``foreign`` are the parts that are more than a rate.
"""
