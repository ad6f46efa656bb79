"""The golden model: numpy, written from docs/architecture.md, importing nothing of the hardware."""
