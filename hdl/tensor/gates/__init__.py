"""Gates: which positions the sums go on for, behind the base passes of a block."""
