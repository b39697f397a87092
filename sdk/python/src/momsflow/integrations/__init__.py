"""Web frameworks and task queues. Each module imports its framework; this package imports none."""
