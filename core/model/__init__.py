"""Frozen values: one shape per thing, shared by every part of the house.

Pure: no event loop is reached from here.
"""
