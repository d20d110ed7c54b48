"""The benchmarks count right: what they say of a server is checked on real ones."""
