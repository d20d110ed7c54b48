"""``c101ctl``: the console's verbs for scripts.

``main`` is the root: it knows every verb by name and imports the module of the one that is called,
since a script that asks for one key a hundred times should not load the journal a hundred times.
``session`` turns flags into a client, ``output`` prints, ``waiting`` waits for units. Results go to
standard output, everything else to standard error; exit statuses are those of ``core.errors``.
"""
