"""Description of a configuration: its networks, their costs, and the discriminators' views."""

from trivd_tf.description.costs import Cost, Description, LayerCost, describe, describe_layers
from trivd_tf.description.tables import layer_table, part_table
from trivd_tf.description.views import pixels_seen, views_sheet

__all__ = [
    "Cost",
    "Description",
    "LayerCost",
    "describe",
    "describe_layers",
    "layer_table",
    "part_table",
    "pixels_seen",
    "views_sheet",
]
