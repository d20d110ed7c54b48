"""Making a host a member of a cluster, as it runs on that host: ``c101-agent setup VERB``.

``c101ctl init`` and ``c101ctl machines add`` ship the agent, then call these verbs over SSH. Each
reads one JSON document on its standard input, does only what is not done yet, and prints one::

    key       make the key by which this host's agent logs in to the KV's     → {key}
    core      run the KV and the engine here; let agents in                   → {changed}
    agent     run the agent here                                              → {changed}
    admit     let the agent of a machine in by these keys and no others, to its
              socket only                                                     → {changed}
    new-key   make a key to take the agent's place                            → {key}
    use-key   have it take that place                                         → {changed}
    etcd-check, etcd, etcd-start, etcd-status, etcd-drop
              may an etcd's member run here; have it, begin, how it fares, have none
    hold      stop the KV and write it down; ``settle`` leaves it so, ``release``
              brings it back, and is called by itself when nobody does          → {revision}
    moved     have the agent use a KV that has the data of the one before       → {changed}
    new-host-keys, use-host-keys
              make keys for sshd, have it use them                              → {keys}
    trust     have the agent know the KV's hosts by these keys                  → {changed}
    upgrade   run what runs here by the programs that are installed now       → {changed}
    remove    stop all of it with its units, and remove every trace           → {changed}

What it leaves on a host (``places``)::

    /usr/local/lib/c101/, /usr/local/bin/c101*     the programs
    /etc/c101/                                     the agent's key, the host keys of the KV's host,
                                                   what the services were told (core, agent)
    /etc/systemd/system/c101-*.service             the services
    /var/lib/c101/, -kv/, -etcd/                   what they keep
    user c101, groups c101, c101-viewer …          who may open which socket
"""
