"""Real machines for tests: systemd as process 1, journald, D-Bus, sshd, a network of their own.

They are containers of systemd-nspawn, booted in half a second from one read-only image, each with
what it writes in a layer of its own. Their power can be cut, they can be frozen, cut off, filled::

    image    Debian's packages, unpacked once, kept below /var/tmp
    network  a bridge, a network namespace a machine, rules for faults (nftables)
    machine  one container: boot, power cut, clean stop, commands inside
    lab      some of them, and an end that leaves nothing

They want root, systemd-nspawn and nft; ``image.missing`` says what of it is not there.
"""
