"""A bench without a test: the runner must refuse it."""
