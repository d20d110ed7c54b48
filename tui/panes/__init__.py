"""The parts of the screen that show the cluster: each draws from the store, and fetches nothing."""
