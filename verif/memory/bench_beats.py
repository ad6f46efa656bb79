"""BeatQueue against a list: words of a beat written in any order, over several cycles."""

import cocotb

from verif import bench, seeds, streams

WORDS, FLAGS, DEPTH = (bench.parameters()[name] for name in ("words", "flags", "depth"))


@cocotb.test()
async def random_beats(dut):
    draw = seeds.stdlib("beats")
    data_in = [getattr(dut, f"data_in__{i}") for i in range(WORDS)]
    data_out = [getattr(dut, f"data_out__{i}") for i in range(WORDS)]
    queue, making = [], [None] * WORDS
    full = 0
    await streams.start(dut)
    for cycle in range(3000):
        eager = (0.8, 0.2, 0.5)[cycle // 40 % 3]  # fills up, then empties
        room = len(queue) < DEPTH
        lanes = [room and draw.random() < 0.7 for _ in range(WORDS)]
        words = [draw.getrandbits(64) for _ in range(WORDS)]
        push = room and draw.random() < eager
        pop = bool(queue) and draw.random() < 1 - eager
        flags = draw.getrandbits(FLAGS)
        dut.write.value = sum(lane << i for i, lane in enumerate(lanes))
        for handle, word in zip(data_in, words, strict=True):
            handle.value = word
        dut.push.value, dut.flags_in.value, dut.pop.value = int(push), flags, int(pop)
        await streams.cycles(dut)
        assert streams.read(dut.room) == room and streams.read(dut.valid) == bool(queue)
        assert streams.read(dut.level) == len(queue)
        full += not room
        if queue:
            wanted, mark = queue[0]
            assert streams.read(dut.flags_out) == mark
            for handle, word in zip(data_out, wanted, strict=True):
                assert word is None or streams.read(handle) == word
        if pop:
            queue.pop(0)
        making = [word if lane else old
                  for lane, word, old in zip(lanes, words, making, strict=True)]
        if push:
            queue.append((making, flags))
            making = [None] * WORDS
    assert full > 20
