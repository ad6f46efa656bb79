"""Self-supervised training in plain floating point, by the textbook."""

import numpy as np

from verif.reference.float_network import FloatNetwork
from winnow import losses
from winnow.network import PREDICTION, PROJECTION


class SelfSupervisedNetwork(FloatNetwork):
    """A `FloatNetwork` with a head (`losses.with_head`), and a loss of `losses.LOSSES`.

    Members
    -------
    reads : by layer name, the map that it read last
    loss_seen : of the last gradients
    """

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.reads: dict[str, np.ndarray] = {}
        self.loss_seen = 0.0

    def gradients(self, images: np.ndarray, _: np.ndarray):
        """Of the loss on two views of each image; there are no labels."""
        self.training, self.gradient = True, {}
        self.last, backward = self._chain(self.network.layers, images.astype(self.dtype))
        embeddings = self.reads.get(PREDICTION, self.last)
        self.loss_seen, errors = losses.LOSSES[self.loss](
            self.last, embeddings.reshape(len(embeddings), -1))
        backward(errors / self.dtype(len(images)))
        return self.gradient

    def features(self, images: np.ndarray) -> np.ndarray:
        """What the head reads, (image, feature)."""
        self.scores(images)
        return self.reads[PROJECTION].reshape(len(images), -1)

    def _layer(self, layer, x):
        self.reads[layer.name] = x
        return super()._layer(layer, x)
