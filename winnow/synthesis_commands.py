"""The commands `synth`, `bitstream` and `baseline`."""

from pathlib import Path

from winnow import files
from winnow.options import chosen_config, config_options


def add(commands) -> None:
    """Adds the parsers of the commands."""
    synth = commands.add_parser(
        "synth", help="synthesise a unit: cells, resources, area, timing",
        description="Targets: generic (two-input gates, depth), published (the same by ABC's own "
        "script), ecp5 (placed and routed), ice40, xilinx, liberty PATH... (cell libraries, gzip "
        "too), sky130 (by PDK_ROOT). Results are kept in build/synth.")
    config_options(synth)
    synth.add_argument("--unit", required=True,
                       help="tree, core, accumulators, feed, drain, tensor, vector, move, control, "
                            "scratchpad, external or chip")
    synth.add_argument("--target", nargs="+", default=["generic"], metavar=("TARGET", "PATH"),
                       help="default: generic")
    synth.add_argument("--part", default="85k", help="of ecp5: 12k, 25k, 45k, 85k (%(default)s)")
    synth.add_argument("--json", type=Path, metavar="FILE",
                       help="write the figures there; beside it a table and a picture")
    synth.set_defaults(command=_synth)

    bitstream = commands.add_parser(
        "bitstream", help="place and route a chip with memory and serial bridge for a board")
    config_options(bitstream, "board")
    bitstream.add_argument("--board", required=True, metavar="NAME",
                           help="ulx3s-85f, ulx3s-45f, ulx3s-25f or ulx3s-12f")
    bitstream.add_argument("--memory-kib", type=int, default=128, metavar="N",
                           help="external memory, in block memory (default: %(default)s)")
    bitstream.add_argument("--out", type=Path, default=Path("build/board"), metavar="DIR",
                           help="where winnow.bit and report.json go (default: %(default)s)")
    bitstream.set_defaults(command=_bitstream)

    baseline = commands.add_parser(
        "baseline", help="compare the main figures of synthesis with the committed ones")
    baseline.add_argument("--write", action="store_true", help="commit to the present ones")
    baseline.set_defaults(command=_baseline)


def _synth(options) -> None:
    from winnow import synthesis

    target, *paths = options.target
    if options.json:
        files.check_folder(options.json.parent)
    figures = synthesis.run(options.unit, chosen_config(options), target, paths, options.part)
    print(synthesis.text(figures))
    if options.json:
        for path in synthesis.write(figures, options.json):
            print(f"written            {path}")


def _bitstream(options) -> None:
    from synth import boards

    files.check_folder(options.out)
    report = boards.build(options.board, chosen_config(options), options.memory_kib * 1024,
                          options.out)
    for name, value in report.items():
        print(f"{name:<18} {value}")
    files.write_json(options.out / "report.json", report)


def _baseline(options) -> int:
    from synth import baseline

    was, now = baseline.read(baseline.PATH), baseline.measured()
    moved = baseline.moved(was, now)
    print("\n".join(map(str, moved)) or f"nothing moved by more than {baseline.TOLERANCE:.0%}")
    if options.write:
        files.write_json(baseline.PATH, now)
        print(f"written {baseline.PATH}")
        return 0
    return 1 if moved else 0
