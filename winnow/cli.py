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
from winnow import bench_commands, energy_commands, files, synthesis_commands
from winnow.errors import UserError
from winnow.host import DeviceError, NanInSum, TrapRaised
from winnow.options import (
    chosen_config,
    chosen_dataset,
    chosen_recipe,
    config_options,
    data_options,
    loss_option,
    mechanism_options,
    skip_option,
)

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
    data_options(run)
    loss_option(run)
    run.add_argument("--epochs", type=int, help="passes over the training images")
    run.add_argument("--seed", type=int, default=0, help="of weights and order (%(default)s)")
    skip_option(run)
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
    data_options(train)
    train.add_argument("--device", choices=("model", "rtl"),
                       help="the model or the Verilog (default: model)")
    loss_option(train)
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
    skip_option(train)
    mechanism_options(train)
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
    energy_commands.add(commands)

    bench_commands.add(commands)

    program = commands.add_parser("program", help="compile a training step to assembly")
    config_options(program)
    program.add_argument("--net", default="digits", help="network (default: %(default)s)")
    skip_option(program)
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


def _run(options) -> int:
    from winnow.run import run

    if options.waves and options.device == "model":
        raise UserError("--waves: the model has none, only --device rtl")
    if options.waves:
        files.check_folder(options.waves.parent)
    recipe = chosen_recipe(options)
    if options.epochs is not None:
        recipe = replace(recipe, epochs=options.epochs)
    dataset = chosen_dataset(options)
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


def _program(options) -> None:
    from winnow import network
    from winnow.compiler.training import TrainingProgram

    recipe = chosen_recipe(options)
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
