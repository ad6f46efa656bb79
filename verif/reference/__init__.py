"""Independent float references that the model is held against, with tolerances."""
