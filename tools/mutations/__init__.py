"""The rules that `tools/mutate.py` breaks, one at a time."""

from tools.mutations.mutation import Mutation
from tools.mutations.networks import NETWORKS
from tools.mutations.training import TRAINING
from tools.mutations.units import UNITS

MUTATIONS: list[Mutation] = [*UNITS, *NETWORKS, *TRAINING]

__all__ = ["MUTATIONS", "Mutation"]
