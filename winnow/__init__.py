"""The front door: networks, compiler, host driver, data sets, reports and the `winnow` command."""
