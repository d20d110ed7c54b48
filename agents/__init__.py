"""What runs on machines and reaches them: agent, unit runtimes, SSH link, local clusters."""
