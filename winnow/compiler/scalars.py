"""The scalar registers of a training program, one table."""

# CHOICES has a bit for each choice of the device. NOW, COUNTED and PASSED hold nothing from one
# piece of text to the next.
(CHOICES, DATA, LOG, RATE, KEY, STEP, SCALE, MEAN, FACTOR, CLEAN, BEFORE, NOW, DUE, LIMIT, COUNTED,
 PASSED) = range(16)
