"""From a network to a program: operations, their places in memory, their order, assembly text.

    tiles.py          parts of maps, groups of cores, blocks of positions
    cuts.py           how a phase is cut that does not fit the scratchpad
    operations.py     what an operation is before it has addresses
    nests.py          convolutions forward and backward as tensor operations (loop nests)
    gradients.py      weight gradients likewise; scores.py the last layer; constant.py averages,
                      rounding of raw sums, statistics
    vector.py         vector operations, written short; forms.py maps and errors formed as they are
                      filled; normalisation.py, loss.py, update.py the small ones
    moves.py          between external memory and the scratchpad
    memory.py         what lies where for good
    step.py           one step: tiles of the batch, jobs; forming.py, forward.py, backward.py,
                      learning.py emit its parts
    schedule.py       the order in which operations are given, and their places
    order.py          tokens between the units
    text.py           registers to assembly
    training.py       the programs; recipe.py how to train
"""
