"""The `winnow` command."""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from isa import assembler, disassembler
from isa.config import ConfigError
from isa.instructions import INSTRUCTION_BYTES
from synth.errors import SynthesisError
from verif.build import ToolError
from winnow import files, synthesis_commands
from winnow.compiler.recipe import Recipe, recipe_for
from winnow.errors import UserError
from winnow.host import DeviceError, NanInSum, TrapRaised
from winnow.options import chosen_config, config_options

INTERRUPTED = 130  # the exit code of what Ctrl-C ended


def main(arguments: list[str] | None = None) -> int:
    """Run the command; a user's mistake is one line on stderr and exit code 2, an interruption
    one line and 130."""
    options = _parser().parse_args(arguments)
    try:
        return options.command(options) or 0
    except (UserError, ConfigError, assembler.AssemblyError, ToolError, SynthesisError,
            TrapRaised, NanInSum, DeviceError) as error:
        return _fail(error)
    except KeyboardInterrupt as interrupt:
        return _fail(interrupt if interrupt.args else "interrupted", INTERRUPTED)


def _fail(error, code: int = 2) -> int:
    print(f"winnow: {error}", file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="winnow", description="Sparse FP8 training hardware: generate, simulate, measure.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser(
        "run", help="train a network on the generated Verilog and compare with the model")
    config_options(run)
    run.add_argument("--net", default="digits", help="network (default: %(default)s)")
    run.add_argument("--data", default="digits", help="data set (default: %(default)s)")
    _data_options(run)
    run.add_argument("--epochs", type=int, help="passes over the training images")
    run.add_argument("--seed", type=int, default=0, help="of weights and order (%(default)s)")
    _skip_option(run)
    run.add_argument("--device", choices=("rtl", "model"), default="rtl",
                     help="the Verilog, compared with the model, or the model alone")
    run.add_argument("--out", type=Path, default=Path("build/run"), metavar="DIR",
                     help="where report.json and report.png go (default: %(default)s)")
    run.add_argument("--waves", type=Path, metavar="FILE",
                     help="write waves of the first cycles (VCD; WINNOW_WAVES_CYCLES=FIRST:END)")
    run.set_defaults(command=_run)

    train = commands.add_parser("train", help="train a network on one device, with checkpoints")
    config_options(train, "small, or that of the checkpoint")
    train.add_argument("--net", help="network (default: digits)")
    train.add_argument("--data", help="data set (default: digits)")
    _data_options(train)
    train.add_argument("--device", choices=("model", "rtl"),
                       help="the model or the Verilog (default: model)")
    train.add_argument("--epochs", type=int, help="passes over the training images")
    train.add_argument("--batch", type=int, help="images a step, a power of two")
    train.add_argument("--rate", metavar="R[,EPOCH:R...]", help="learning rate, and from when on")
    train.add_argument("--decay", type=float, help="weight decay")
    train.add_argument("--momentum", type=float)
    train.add_argument("--masters", metavar="FORMAT", help="of master weights: binary32, or "
                       "bfloat16 with stochastic rounding (default: binary32)")
    train.add_argument("--moments", metavar="FORMAT", help="likewise, of their momentum")
    train.add_argument("--rounding", metavar="HOW", help="of errors and of weights in FP8: "
                       "nearest or stochastic (default: nearest)")
    train.add_argument("--scaling", metavar="HOW", help="of errors: static, or dynamic, by what "
                       "saturates (default: static)")
    train.add_argument("--error-scale", type=int, metavar="S", help="errors are stored times 2**S; "
                       "with dynamic scaling at first")
    train.add_argument("--clean-steps", type=int, metavar="N",
                       help="steps without saturation after which S is raised (default: 200)")
    _skip_option(train)
    train.add_argument("--prune", metavar="WHAT", help="leave small weights out: each element, "
                       "vectors of 8, tiles of 8x8 or groups of 8x8 channels (default: none)")
    train.add_argument("--density", metavar="D[,EPOCH:D...]",
                       help="share of a layer's weights that stays, and from when on (0.5)")
    train.add_argument("--refresh", type=int, metavar="R",
                       help="steps from one choice of what stays to the next (20)")
    train.add_argument("--regrow", type=float, metavar="P",
                       help="share of what is pruned that is given another chance (0.02)")
    train.add_argument("--shrink", type=float, metavar="L",
                       help="group Lasso: lambda; groups shrink until they are zero (0: at once)")
    train.add_argument("--skip-images", metavar="HOW", help="images without BP and WU: none, "
                       "threshold:E (of the error of a score), quantile:S or random:S (a share)")
    train.add_argument("--seed", type=int, help="of weights and order (default: 0)")
    train.add_argument("--out", type=Path, required=True, metavar="DIR",
                       help="where checkpoint and report.json go")
    train.add_argument("--checkpoint-steps", type=int, metavar="K",
                       help="steps between two checkpoints, at most")
    train.add_argument("--resume", action="store_true",
                       help="go on from the checkpoint in DIR, with its settings")
    train.set_defaults(command=_train)

    verilog = commands.add_parser("verilog", help="write the chip as Verilog")
    config_options(verilog)
    verilog.add_argument("-o", "--out", type=Path, required=True, metavar="DIR")
    verilog.set_defaults(command=_verilog)

    synthesis_commands.add(commands)

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
    _data_options(phases)
    phases.add_argument("--after", type=int, default=0, metavar="N",
                        help="steps that the model trains before (default: %(default)s)")
    _skip_option(phases)
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

    program = commands.add_parser("program", help="compile a training step to assembly")
    config_options(program)
    program.add_argument("--net", default="digits", help="network (default: %(default)s)")
    _skip_option(program)
    program.add_argument("-o", "--out", type=Path, metavar="FILE", help="default: stdout")
    program.set_defaults(command=_program)

    asm = commands.add_parser("asm", help="assemble a program")
    asm.add_argument("source", type=Path)
    asm.add_argument("-o", "--out", type=Path, required=True, metavar="FILE",
                     help="instructions, 8 bytes each, little endian")
    asm.set_defaults(command=_asm)

    disasm = commands.add_parser("disasm", help="disassemble a program")
    disasm.add_argument("source", type=Path)
    disasm.add_argument("-o", "--out", type=Path, metavar="FILE", help="default: stdout")
    disasm.set_defaults(command=_disasm)

    isa = commands.add_parser("isa", help="write the instruction set reference (docs/isa.md)")
    isa.add_argument("-o", "--out", type=Path, metavar="FILE", help="default: stdout")
    isa.set_defaults(command=_isa)
    return parser


def _data_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data-path", type=Path, metavar="PATH",
                        help="of CIFAR-10: an .npz file, or the folder of batches")
    parser.add_argument("--train-images", type=int, metavar="N", help="only the first N")
    parser.add_argument("--test-images", type=int, metavar="N", help="only the first N")


def _skip_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--skip", metavar="KINDS", help="what operations leave out: all, none, or "
                        "some of tiles,elements,outputs; no result depends on it (default: all)")


def _recipe(options) -> Recipe:
    """That of the network, with --skip."""
    recipe = recipe_for(options.net)
    return recipe if options.skip is None else replace(recipe, skip=options.skip)


def _run(options) -> int:
    from winnow import datasets
    from winnow.run import run

    if options.waves and options.device == "model":
        raise UserError("--waves: the model has none, only --device rtl")
    if options.waves:
        files.check_folder(options.waves.parent)
    recipe = _recipe(options)
    if options.epochs is not None:
        recipe = replace(recipe, epochs=options.epochs)
    dataset = datasets.load(options.data, options.data_path, options.train_images,
                            options.test_images)
    report = run(chosen_config(options), options.net, dataset, recipe, seed=options.seed,
                 device=options.device, out=options.out, waves=options.waves)
    print(report.text())
    print(f"written            {options.out / 'report.json'}, {options.out / 'report.png'}")
    return 1 if report.memory_equal is False else 0


def _train(options) -> None:
    from winnow import train

    saved = train.opened(options.out, options.resume)
    before = train.Settings.of(saved) if saved else train.Settings()
    given = {name: getattr(options, name) for name in train.OPTIONS
             if getattr(options, name) is not None}
    settings = before.with_(chosen_config(options, before.config), **given)
    report = train.train(settings, out=options.out, data_path=options.data_path,
                         checkpoint_steps=options.checkpoint_steps, saved=saved)
    print(report.text())
    print(f"written            {options.out / 'report.json'}, {options.out / 'checkpoint'}")


def _verilog(options) -> None:
    from winnow.verilog import write

    for path in write(chosen_config(options), options.out):
        print(path)


def _gemm(options) -> int:
    from winnow.bench import gemm, shapes

    wanted = shapes.parse(options.shapes)
    if options.config is None:
        options.config = "small" if options.cores in (None, 1) else "bench"
    chip = chosen_config(options)
    if options.cores is not None:
        chip = chip.with_(cores=options.cores)
    if options.json:
        files.check_folder(options.json.parent)
    results = list(gemm.measure(chip, wanted))
    print(gemm.table(results))
    if options.json:
        files.write_json(options.json, gemm.as_json(results))
    return 0 if all(result.equal for result in results) else 1


def _phases(options) -> int:
    from winnow import datasets, network
    from winnow.bench import phases

    options.config = options.config or "bench"
    chip, recipe = chosen_config(options), _recipe(options)
    if options.cores is not None:
        chip = chip.with_(cores=options.cores)
    if options.batch is not None:
        recipe = replace(recipe, batch=options.batch)
    if options.json:
        files.check_folder(options.json.parent)
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

    options.config = options.config or "bench"
    chip, densities = chosen_config(options), list(sparsity.DENSITIES)
    if options.cores is not None:
        chip = chip.with_(cores=options.cores)
    if options.densities is not None:
        try:
            densities = [float(density) for density in options.densities.split(",")]
        except ValueError:
            raise UserError(f"--densities {options.densities}: must be D,D,... with numbers above "
                            f"0, at most 1") from None
    if options.json:
        files.check_folder(options.json.parent)
    results = list(sparsity.measure(chip, options.channels, options.size, options.images,
                                    densities))
    print(sparsity.table(results))
    if options.json:
        files.write_json(options.json, sparsity.as_json(results))
        files.write(options.json.with_suffix(".png"), sparsity.picture(results))
    return 0 if all(result.equal for result in results) else 1


def _program(options) -> None:
    from winnow import network
    from winnow.compiler.training import TrainingProgram

    recipe = _recipe(options)
    program = TrainingProgram(chosen_config(options), network.named(options.net), recipe)
    _output(options.out, program.text(1, recipe.rate(0)))


def _asm(options) -> None:
    words = assembler.assemble(files.read_text(options.source), str(options.source))
    files.write(options.out, assembler.to_bytes(words))


def _disasm(options) -> None:
    code = files.read_bytes(options.source)
    if len(code) % INSTRUCTION_BYTES:
        raise UserError(f"{options.source}: {len(code)} bytes, must be a multiple of "
                        f"{INSTRUCTION_BYTES}")
    words = [int.from_bytes(code[i:i + INSTRUCTION_BYTES], "little")
             for i in range(0, len(code), INSTRUCTION_BYTES)]
    _output(options.out, disassembler.disassemble(words))


def _isa(options) -> None:
    from isa.reference import reference

    _output(options.out, reference())


def _output(path: Path | None, text: str) -> None:
    if path:
        files.write_text(path, text)
    else:
        print(text, end="")


if __name__ == "__main__":
    sys.exit(main())
