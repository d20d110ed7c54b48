"""Where units run: see README.md in this folder for the pipeline and its words.

Everything but ``engine`` and what it leads is pure; nothing is imported here, so that the pure
parts stay apart from the event loop.
"""
