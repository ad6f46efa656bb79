"""The command `bench`."""

from dataclasses import replace
from pathlib import Path

from isa.config import Config
from winnow import files
from winnow.errors import UserError
from winnow.options import (
    chosen_config,
    chosen_recipe,
    config_options,
    data_options,
    skip_option,
)


def add(commands) -> None:
    """Adds the parsers of the benches."""
    bench = commands.add_parser("bench", help="measure on the generated Verilog")
    benches = bench.add_subparsers(required=True, metavar="BENCH")
    gemm = benches.add_parser("gemm", help="matrix products, FP8, each checked to the bit")
    config_options(gemm, "small for one core, bench for more")
    gemm.add_argument("--shapes", required=True, metavar="MxNxK,...", help="K is reduced")
    gemm.add_argument("--cores", type=int, metavar="T", help="cores of the configuration")
    gemm.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    gemm.set_defaults(command=_gemm)
    phases = benches.add_parser("phases", help="a training step, layer by layer and phase")
    config_options(phases, "bench")
    phases.add_argument("--net", default="resnet8", help="network (default: %(default)s)")
    phases.add_argument("--cores", type=int, metavar="T", help="cores of the configuration")
    phases.add_argument("--batch", type=int, metavar="B", help="images of the step")
    phases.add_argument("--data", help="data set (default: random images)")
    data_options(phases)
    phases.add_argument("--after", type=int, default=0, metavar="N",
                        help="steps that the model trains before (default: %(default)s)")
    skip_option(phases)
    phases.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    phases.set_defaults(command=_phases)

    sparsity = benches.add_parser(
        "sparsity", help="what zeros are worth: one layer, each phase, from dense to sparse")
    config_options(sparsity, "bench")
    sparsity.add_argument("--densities", metavar="D,...", help="shares that are not zero")
    sparsity.add_argument("--channels", type=int, default=64, metavar="C",
                          help="of the layer's input and output (default: %(default)s)")
    sparsity.add_argument("--size", type=int, default=16, metavar="PIXELS",
                          help="rows and columns of its maps (default: %(default)s)")
    sparsity.add_argument("--images", type=int, default=8, metavar="N",
                          help="(default: %(default)s)")
    sparsity.add_argument("--cores", type=int, metavar="T", help="cores of the configuration")
    sparsity.add_argument("--json", type=Path, metavar="FILE",
                          help="write the figures there, and a plot beside them")
    sparsity.set_defaults(command=_sparsity)


def _chip(options, default: str = "bench") -> Config:
    """The configuration, with --cores; refuses now a FILE that could not be written."""
    options.config = options.config or default
    if options.json:
        files.check_folder(options.json.parent)
    chip = chosen_config(options)
    return chip if options.cores is None else chip.with_(cores=options.cores)


def _gemm(options) -> int:
    from winnow.bench import gemm, shapes

    wanted = shapes.parse(options.shapes)
    results = list(gemm.measure(_chip(options, "small" if options.cores in (None, 1) else "bench"),
                                wanted))
    print(gemm.table(results))
    if options.json:
        files.write_json(options.json, gemm.as_json(results))
    return 0 if all(result.equal for result in results) else 1


def _phases(options) -> int:
    from winnow import datasets, network
    from winnow.bench import phases

    chip, recipe = _chip(options), chosen_recipe(options)
    if options.batch is not None:
        recipe = replace(recipe, batch=options.batch)
    dataset = options.data and datasets.load(options.data, options.data_path,
                                             options.train_images, options.test_images)
    step = phases.measure(chip, network.named(options.net), recipe, dataset=dataset,
                          after=options.after)
    print(phases.table(step))
    if options.json:
        files.write_json(options.json, step.as_json())
    return 0 if step.equal else 1


def _sparsity(options) -> int:
    from winnow.bench import sparsity

    chip, densities = _chip(options), list(sparsity.DENSITIES)
    if options.densities is not None:
        try:
            densities = [float(density) for density in options.densities.split(",")]
        except ValueError:
            raise UserError(f"--densities {options.densities}: must be D,D,... with numbers above "
                            f"0, at most 1") from None
    results = list(sparsity.measure(chip, options.channels, options.size, options.images,
                                    densities))
    print(sparsity.table(results))
    if options.json:
        files.write_json(options.json, sparsity.as_json(results))
        files.write(options.json.with_suffix(".png"), sparsity.picture(results))
    return 0 if all(result.equal for result in results) else 1
