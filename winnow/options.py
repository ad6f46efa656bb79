"""Options that several commands have."""

import argparse
from dataclasses import fields, replace
from pathlib import Path

from isa import config
from isa.config import Config
from winnow.compiler.recipe import Recipe, recipe_for
from winnow.errors import UserError


def config_options(parser: argparse.ArgumentParser, default: str = "small") -> None:
    parser.add_argument("--config", default=None if " " in default else default,
                        help=f"configuration (default: {default})")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE",
                        help="change a parameter of the configuration; may be repeated")


def chosen_config(options, base: Config | None = None) -> Config:
    """The configuration that --config and --set ask for; `base` where there is no --config."""
    base = config.named(options.config) if options.config or base is None else base
    changes = {}
    types = {f.name: f.type for f in fields(Config)}
    for change in options.set:
        name, equals, value = change.partition("=")
        if not equals or name not in types:
            raise UserError(f"--set {change}: must be NAME=VALUE with NAME one of "
                            f"{', '.join(types)}")
        if types[name] is int:
            try:
                value = int(value)
            except ValueError:
                raise UserError(f"--set {change}: {name} must be an integer") from None
        changes[name] = value
    return base.with_(**changes)


def data_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data-path", type=Path, metavar="PATH",
                        help="of CIFAR-10: an .npz file, or the folder of batches")
    parser.add_argument("--train-images", type=int, metavar="N", help="only the first N")
    parser.add_argument("--test-images", type=int, metavar="N", help="only the first N")


def loss_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--loss", metavar="LOSS", help="softmax or mse, of labels; contrastive or "
                        "simsiam, of two views of each image, without labels: the host computes "
                        "it, and a linear probe is what is tested (default: that of the network)")


def skip_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--skip", metavar="KINDS", help="what operations leave out: all, none, or "
                        "some of tiles,elements,outputs (both errors,gradients); no result "
                        "depends on it (default: all)")


def mechanism_options(parser: argparse.ArgumentParser, prune: str = "none") -> None:
    """Of what makes weights or gradients sparse; `prune` is the default that is told."""
    parser.add_argument("--prune", metavar="WHAT", help="leave small weights out: each element, "
                         "vectors of 8, tiles of 8x8 or groups of 8x8 channels (default: "
                         f"{prune})")
    parser.add_argument("--density", metavar="D[,EPOCH:D...]",
                        help="share of a layer's weights that stays, and from when on (0.5)")
    parser.add_argument("--refresh", type=int, metavar="R",
                        help="steps from one choice of what stays to the next (20)")
    parser.add_argument("--regrow", type=float, metavar="P",
                        help="share of what is pruned that is given another chance (0.02)")
    parser.add_argument("--shrink", type=float, metavar="L",
                        help="group Lasso: lambda; groups shrink until they are zero (0: at once)")
    parser.add_argument("--stream", metavar="WHAT", help="in FP and BP of pruned elements "
                        "or vectors: maps, weights, or auto, what the device finds faster; no "
                        "result depends on it (auto)")
    parser.add_argument("--gate", metavar="RATE",
                        help="channel gating: share of the gates that are to be open, or none")
    parser.add_argument("--gate-groups", type=int, metavar="G",
                        help="groups of channels, of which one is the base (4)")
    parser.add_argument("--skip-images", metavar="HOW", help="images without BP and WU: none, "
                        "threshold:E (of the error of a score), quantile:S or random:S (a share)")


def chosen_recipe(options) -> Recipe:
    """That of the network, with --skip and, where the command has it, --loss."""
    recipe = recipe_for(options.net, getattr(options, "loss", None))
    return recipe if options.skip is None else replace(recipe, skip=options.skip)


def chosen_dataset(options):
    """That of --data, as much of it as is asked for: a `winnow.datasets.Dataset`."""
    from winnow import datasets

    return datasets.load(options.data, options.data_path, options.train_images,
                         options.test_images)
