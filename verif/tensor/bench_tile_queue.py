"""Tiles that are collected ahead, against lists of words."""

import cocotb

from hdl.tensor.tiles.tile_queue import tile_words_layout
from verif import bench, seeds, streams

SLOT = bench.parameters()["slot"]
WORDS = tile_words_layout(SLOT)
DRAW = seeds.stdlib("tile queue")
CONTROLS = ("clear", "transpose", "queued", "together", "wide", "push", "drop", "swap")


def draw_tile():
    """8 words, all zero now and then."""
    if DRAW.random() < 0.4:
        return [DRAW.choice([0, 0x80 << 8 * DRAW.randrange(8)]) for _ in range(8)]
    tile = [0] * 8
    for _ in range(DRAW.choice([1, 30])):
        tile[DRAW.randrange(8)] |= 1 << DRAW.randrange(7) + 8 * DRAW.randrange(8)
    return tile


def zeros(word):
    return sum((word >> 8 * i & 0x7F == 0) << i for i in range(8))


def is_zero(tile):
    return all(zeros(word) == 0xFF for word in tile)


def requests(groups, wide, whole=False):
    """The words of groups of tiles as they come; those beside a narrow one are noise."""
    for group in groups:
        for i, tile in enumerate(group):
            if whole and is_zero(tile) and DRAW.random() < 0.5:
                tile[:] = [0] * 8
                yield {"data": [0] * SLOT, "zeros": [0xFF] * SLOT, "whole": 1,
                       "group_last": int(i == len(group) - 1)}
                continue
            for k in range(0, 8, SLOT if wide else 1):
                words = tile[k:k + SLOT] if wide else [
                    tile[k], *(DRAW.getrandbits(64) for _ in range(SLOT - 1))]
                yield {"data": words, "zeros": [zeros(word) for word in words], "whole": 0,
                       "group_last": int(i == len(group) - 1)}


def turned(tile):
    rows = [word.to_bytes(8, "little") for word in tile]
    return [int.from_bytes(bytes(row[tree] for row in rows), "little") for tree in range(8)]


async def follow(dut, groups, *, queued, together, transpose):
    """Keeps, drops and swaps in at random until all groups were dealt with."""
    kept, number = [], 0
    wanted, reached = [], 0  # present tiles by place, and groups that were swapped in
    while number < len(groups) or kept:
        push = drop = swap = 0
        await streams.cycles(dut)  # settles what was driven
        found = dut.found.value and number < len(groups)
        for place, tile in wanted:
            for tree in range(8):
                seen = streams.read(getattr(dut, f"tiles__{place}__{tree}"))
                assert seen == (turned(tile) if transpose else tile)[tree]
        if found:
            group = groups[number]
            dead = [is_zero(tile) for tile in group]
            flags = streams.read(dut.zero)
            if together:
                dead += [True] * (SLOT - len(group))
                assert [bool(flags >> i & 1) for i in range(SLOT)] == dead
            else:
                assert (flags == (1 << SLOT) - 1) == dead[0]
            choice = DRAW.random()
            if not queued:
                swap = choice < 0.5
            elif choice < 0.6:
                push, drop = (0, 1) if all(dead) else (1, 0)
        if queued and kept and DRAW.random() < 0.3:
            swap = 1
        dut.push.value, dut.drop.value, dut.swap.value = int(push), int(drop), int(swap)
        await streams.cycles(dut)
        dut.push.value = dut.drop.value = dut.swap.value = 0
        if swap:
            group = kept.pop(0) if queued else groups[number]
            await streams.cycles(dut)
            places = range(len(group)) if together else [streams.read(dut.entry)]
            wanted = list(zip(places, group, strict=True))
            reached += 1
        if push:
            kept.append(groups[number])
        number += bool(push or drop or (swap and not queued))
        assert len(kept) <= (1 if together else SLOT)
    return reached


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def random_tiles(dut):
    for name in CONTROLS:
        getattr(dut, name).value = 0
    await streams.start(dut)
    source = streams.Source(dut, "words", WORDS)
    await streams.cycles(dut)
    for number in range(24):
        queued = number % 3 > 0
        together, wide = queued and number % 2, queued and number % 5 < 3
        transpose = DRAW.randrange(2)
        source.stall = DRAW.choice([0, 0.3])
        groups = [[draw_tile() for _ in range(DRAW.randint(1, SLOT) if together else 1)]
                  for _ in range(12)]
        for name, value in (("queued", queued), ("together", together), ("wide", wide),
                            ("transpose", transpose)):
            getattr(dut, name).value = int(value)
        source.put(list(requests(groups, wide, queued)))
        reached = await follow(dut, groups, queued=queued, together=together,
                               transpose=transpose)
        assert reached == sum(not queued or not all(map(is_zero, group)) for group in groups)
        if number % 4 == 3 and not (wide and SLOT == 8):  # a clear forgets what was begun
            source.put(list(requests([[draw_tile()]], wide))[:1])
            await source.drain()
        dut.clear.value = 1
        await streams.cycles(dut)
        dut.clear.value = 0
