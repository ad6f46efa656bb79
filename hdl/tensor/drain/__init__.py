"""The drain: from complete sums to words of the scratchpad, and statistics of them."""
