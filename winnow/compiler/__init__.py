"""From a network to a program: operations, their places in memory, their order, assembly text.

    layers.py       each layer and phase as tensor operations (loop nests)
    elementwise.py  loss, bias gradient and optimiser as vector operations; moves
    operations.py   what an operation is before it has addresses
    placement.py    scratchpad and external memory
    order.py        tokens between the units
    text.py         registers to assembly
    training.py     the whole program
"""
