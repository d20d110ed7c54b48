"""Run within a machine of the lab: ``tests/systemd/test_inside.py`` does."""
