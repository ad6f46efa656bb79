"""The contract: number formats, configuration, instructions, registers, memory map.

Everything else reads these tables; this package imports nothing of the others.
"""
