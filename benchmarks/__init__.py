"""Scripts that measure; each prints medians, and ratios where there is something beside it."""
