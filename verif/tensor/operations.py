"""Registers of the operations that directed benches run: matrix products and convolutions."""

from verif.tensor.driver import registers


def gemm(m: int, n: int, k: int, *, block: int = 32, stream: int, stationary: int, output: int,
         output_words: int = 1, cores: int = 1, **more) -> dict:
    """out[m][n] = a[m][k] . b[n][k]: `a` streams, `b` is stationary, all stored with blocks of 8
    columns outermost: a[k / 8][m], b[k / 8][n], out[n / 8][m] words.

    `m` is split into blocks of at most `block` rows, a divisor of it.
    """
    rows = max(d for d in range(1, min(m, block) + 1) if m % d == 0)
    group = 8 * cores
    return registers(
        positions={"p0": rows, "q0": 8, "q1": 1, "cores": cores},
        reduction={"r0": k // 8},
        blocks={"b0": m // rows, "b1": n // group},
        stream__base={"address": stream}, stream__p0={"stride": 1}, stream__r0={"stride": m},
        stream__b0={"stride": rows},
        stationary__base={"address": stationary}, stationary__q0={"stride": 1},
        stationary__core={"stride": 8}, stationary__r0={"stride": n},
        stationary__b1={"stride": group},
        output__base={"address": output}, output__p0={"stride": output_words},
        output__core={"stride": m * output_words}, output__b0={"stride": rows * output_words},
        output__b1={"stride": m * output_words * cores},
        **more,
    )


def convolution(height: int, width: int, inputs: int, outputs: int, *, rows: int, columns: int,
                stride: int = 1, stream: int, stationary: int, output: int, **more) -> dict:
    """3x3 convolution with padding 1; maps are [channel block][row][column] words, weights
    [output block][input block][tap][8 outputs] words. Blocks are `rows` x `columns` outputs."""
    high, wide = height // stride, width // stride
    return registers(
        positions={"p0": columns, "p1": rows, "q0": 8, "q1": 1},
        reduction={"r0": 3, "r1": 3, "r2": inputs // 8},
        blocks={"b0": wide // columns, "b1": high // rows, "b2": outputs // 8},
        stream__base={"address": (stream - width - 1) % (1 << 20)},
        stream__window={"y": -1, "x": -1, "height": height, "width": width},
        stream__p0={"stride": stride, "dx": stride},
        stream__p1={"stride": stride * width, "dy": stride},
        stream__r0={"stride": 1, "dx": 1},
        stream__r1={"stride": width, "dy": 1},
        stream__r2={"stride": height * width},
        stream__b0={"stride": stride * columns, "dx": stride * columns},
        stream__b1={"stride": stride * rows * width, "dy": stride * rows},
        stationary__base={"address": stationary}, stationary__q0={"stride": 1},
        stationary__r0={"stride": 8}, stationary__r1={"stride": 24},
        stationary__r2={"stride": 72}, stationary__b2={"stride": 72 * (inputs // 8)},
        output__base={"address": output}, output__p0={"stride": 1},
        output__p1={"stride": wide}, output__b0={"stride": columns},
        output__b1={"stride": rows * wide}, output__b2={"stride": high * wide},
        **more,
    )
