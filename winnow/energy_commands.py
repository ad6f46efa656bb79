"""The command `energy`."""

from pathlib import Path

from winnow import files
from winnow.options import (
    chosen_config,
    chosen_dataset,
    chosen_recipe,
    config_options,
    data_options,
    skip_option,
)


def add(commands) -> None:
    """Adds the parser of the command."""
    energy = commands.add_parser(
        "energy", help="energy of a multiply-add in a training step, by gates",
        description="Maps a unit to a cell library, runs operands of a training step through its "
        "gates, checks what comes out, and weighs every change of a net with the tables of the "
        "library. Before layout: no wires, an ideal clock.")
    config_options(energy)
    energy.add_argument("--unit", default="tree",
                        help="tree (default), or core with its accumulators")
    energy.add_argument("--target", nargs="+", required=True, metavar=("TARGET", "PATH"),
                        help="liberty PATH..., or sky130 by PDK_ROOT")
    energy.add_argument("--node", type=int, metavar="NM",
                        help="process of the library: scales to 28 nm as well")
    energy.add_argument("--net", default="digits", help="network (default: %(default)s)")
    energy.add_argument("--data", default="digits", help="data set (default: %(default)s)")
    data_options(energy)
    energy.add_argument("--after", type=int, default=20, metavar="N",
                        help="steps that the model trains before (default: %(default)s)")
    energy.add_argument("--cycles", type=int, default=2048, metavar="N",
                        help="of a core, a sample of each phase (default: %(default)s)")
    energy.add_argument("--step", type=Path, metavar="FILE",
                        help="what `winnow bench phases --json FILE` counted of such a step: adds "
                        "its memory accesses, by published energies")
    skip_option(energy)
    energy.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    energy.set_defaults(command=_energy)


def _energy(options) -> None:
    from winnow import network, synthesis
    from winnow.energy import measure, step

    if options.json:
        files.check_folder(options.json.parent)
    counted = options.step and step.read(options.step)
    target, *paths = options.target
    library = synthesis.library(target, paths)
    report = measure.measure(options.unit, chosen_config(options), library,
                             network.named(options.net), chosen_recipe(options),
                             chosen_dataset(options),
                             after=options.after, cycles=options.cycles, node=options.node,
                             counted=counted)
    print(measure.table(report))
    if options.json:
        files.write_json(options.json, report.as_json())
