"""Virtual adversarial training beside the recipe's loss, on labelled and unlabelled examples alike (card 16).

batch ──▶ network ──▶ recipe's loss                                           labelled half
     └──▶ network, and again with the features changed for the worst ──▶ divergence        both halves

With the sampler's `unlabelled` set to 0.5, half of each batch is drawn from recordings without labels.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from msgspec import Meta
from torch import Tensor, nn

from training.batch import Batch
from training.layers.heads import Scores
from training.losses import adversarial as losses
from training.losses.frame_clip import pooled
from training.losses.registry import Loss
from training.procedures.fit import FitSettings, Positive, fit
from training.procedures.registry import PROCEDURES, Procedure


class AdversarialSettings(FitSettings):
    """How to learn (as in ``fit``), and how steady answers must be.

    Attributes
    ----------
    weight
        λ of the divergence, beside the recipe's loss.
    size
        ε: norm of the change of all of an example's features, which are standardised.
    iterations
        Of the search for the worst change; each costs a pass through the network and back.
    """

    weight: Annotated[float, Meta(ge=0)] = 1.0
    size: Annotated[float, Meta(gt=0)] = 2.0
    iterations: Positive = 1


@PROCEDURES.register("adversarial", AdversarialSettings)
def adversarial(settings: AdversarialSettings) -> Procedure:
    """Return the procedure that minimises the job's loss and what the worst changes do to the network's answers."""
    return lambda job: fit(settings)(replace(job, loss=steadied(job.loss, job.model, settings)))


def steadied(loss: Loss, model: nn.Module, settings: AdversarialSettings) -> Loss:
    """Return the loss of scores and batch that also asks for steady clip probabilities of the model.

    They are computed in float32: half precision does not see the small step by which the worst change is found.
    """

    def posterior(features: Tensor) -> Tensor:
        return pooled(model(features))

    def both(scores: Scores, batch: Batch) -> Tensor:
        with losses.steady(model):
            moved = losses.adversarial(posterior, batch.features, settings.size, iterations=settings.iterations)
        return loss(scores, batch) + settings.weight * moved

    return both
