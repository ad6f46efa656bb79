"""Zero elements of the stream are left out: slots, and who of the lanes takes what is left."""
