"""What runs on machines and reaches them: the agent, its unit runtimes, the SSH link, a whole
cluster on this computer."""
