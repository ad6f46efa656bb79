"""What feeds the cores: the streams of the groups, and which passes are done."""
