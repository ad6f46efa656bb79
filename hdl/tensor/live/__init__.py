"""Dead outputs are left out: masks, and trees that walk their own live positions."""
