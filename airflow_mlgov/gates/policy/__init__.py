"""The gate over pipelines: every sensitive step is guarded by gates, along every path."""
