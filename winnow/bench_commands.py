"""The command `bench`."""

from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from isa.config import Config
from winnow import files
from winnow.errors import UserError
from winnow.options import (
    chosen_config,
    chosen_dataset,
    chosen_recipe,
    config_options,
    data_options,
    mechanism_options,
    skip_option,
)

RESUMES = "goes on where it was interrupted, with what lies in FILE's folder of the ending .parts"


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
    _add_ablation(benches)


def _add_ablation(benches) -> None:
    from winnow.bench.mechanisms import MECHANISMS, WHOLE

    ablation = benches.add_parser(
        "ablation", help=f"a training step with each mechanism on and off; {RESUMES}")
    ablation.add_argument("--mechanisms", default=",".join(WHOLE), metavar="LIST",
                          help=f"some of {','.join(MECHANISMS)} (default: %(default)s)")
    _run_options(ablation, "digits", "the last step")
    ablation.set_defaults(command=_ablation)
    chip_a = benches.add_parser(
        "chip-a", help="group Lasso, channel gating and gradient skipping in all combinations, "
        f"beside chance and a dense run that does as much; {RESUMES}")
    _run_options(chip_a, "digits", "some from all parts of the run")
    chip_a.set_defaults(command=_chip_a)
    chip_b = benches.add_parser(
        "chip-b", help="pruned weights, the stream that the device chooses, and "
        f"outputs that are left out, each on top of the one before; {RESUMES}")
    chip_b.add_argument("--densities", default="1,0.5,0.2,0.1", metavar="D,...",
                        help="shares of the weights that stay (%(default)s)")
    _run_options(chip_b, "digits", "the last step")
    chip_b.set_defaults(command=_chip_b)


def _run_options(parser, net: str, steps: str) -> None:
    """Of benches that train with mechanisms and measure whole steps."""
    config_options(parser, "bench")
    parser.add_argument("--cores", type=int, metavar="T", help="cores of the configuration")
    parser.add_argument("--net", default=net, help="network (default: %(default)s)")
    parser.add_argument("--data", default="digits", help="data set (default: %(default)s)")
    data_options(parser)
    mechanism_options(parser, "element; with lasso group")
    parser.add_argument("--steps", default="", metavar="N,...", help="measure the step after N "
                        f"training steps on the model (default: {steps})")
    parser.add_argument("--epochs", type=int, help="passes over the training images")
    parser.add_argument("--batch", type=int, metavar="B", help="images of a step")
    parser.add_argument("--seed", type=int, default=0, help="of weights and order (%(default)s)")
    parser.add_argument("--json", type=Path, required=True, metavar="FILE",
                        help="write the figures there, and a plot beside them")


def _chip(options, default: str = "bench") -> Config:
    """The configuration, with --cores; refuses now a FILE that could not be written."""
    options.config = options.config or default
    if options.json:
        if options.json.suffix == ".png" or options.json.is_dir():
            raise UserError(f"--json {options.json}: must be a file for figures, a picture is "
                            f"written beside it")
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
    from winnow import network
    from winnow.bench import phases

    chip, recipe = _chip(options), chosen_recipe(options)
    if options.batch is not None:
        recipe = replace(recipe, batch=options.batch)
    dataset = options.data and chosen_dataset(options)
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


def _ablation(options) -> int:
    from winnow.bench import ablation, ablation_report, mechanisms

    settings, chosen, steps, folder = _run(options, options.mechanisms.split(","))
    with _interrupted(folder):
        results = ablation.measure(settings, chosen, mechanisms.variants(tuple(chosen)), steps,
                                   folder, data_path=options.data_path)
    print(ablation_report.table(results))
    files.write_json(options.json, ablation_report.as_json(settings, chosen, results))
    files.write(options.json.with_suffix(".png"), ablation_report.picture(results))
    return 0 if all(result.equal for result in results) else 1


def _chip_a(options) -> int:
    from winnow.bench import chip_a

    settings, chosen, steps, folder = _run(options, list(chip_a.MECHANISMS), "chip-a")
    with _interrupted(folder):
        rows, how, results = chip_a.measure(settings, chosen, steps, folder,
                                            data_path=options.data_path)
    print(chip_a.table(rows))
    files.write_json(options.json, chip_a.as_json(settings, how, rows, results))
    files.write(options.json.with_suffix(".png"), chip_a.picture(rows))
    return 0 if all(result.equal for result in results) else 1


def _chip_b(options) -> int:
    from winnow.bench import chip_b

    wanted = chip_b.densities(options.densities)
    settings, chosen, steps, folder = _run(options, ["tiles", "prune"], "chip-b")
    how = chip_b.pruning(chosen["prune"])
    with _interrupted(folder):
        rows, results = chip_b.measure(settings, how, wanted, steps, folder,
                                       data_path=options.data_path)
    print(chip_b.table(rows, results))
    files.write_json(options.json, chip_b.as_json(settings, how, rows, results))
    files.write(options.json.with_suffix(".png"), chip_b.picture(rows))
    return 0 if all(result.equal for result in results) else 1


def _run(options, names: list[str], bench: str | None = None) -> tuple:
    """Settings, those of its mechanisms, the steps to measure, and the folder of `_run_options`."""
    from winnow.bench import mechanisms
    from winnow.train import Settings

    chip, given = _chip(options), {name: getattr(options, name) for name in mechanisms.OPTIONS
                                   if getattr(options, name) is not None}
    chosen = mechanisms.chosen(names, chip, given, bench)
    try:
        steps = tuple(int(step) for step in options.steps.split(",") if options.steps)
    except ValueError:
        raise UserError(f"--steps {options.steps}: must be N,N,... with whole numbers") from None
    run = {name: getattr(options, name) for name in (
        "net", "data", "train_images", "test_images", "epochs", "batch", "seed")
        if getattr(options, name) is not None}
    return Settings().with_(chip, **run), chosen, steps, options.json.with_suffix(".parts")


@contextmanager
def _interrupted(folder: Path):
    """Says what an interrupted bench goes on from."""
    try:
        yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"interrupted: {folder} holds what is done, the same command goes "
                                f"on from it") from None
