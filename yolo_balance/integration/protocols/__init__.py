"""The surface of Ultralytics that this package touches, as types: each attribute and method once, by subject.

Each name was seen in releases 8.3.253, 8.4.0, 8.4.20, 8.4.40, 8.4.60, 8.4.100 and 8.4.190, unless `Releases` stand
beside its type. Parameters have the names and the order that Ultralytics gives them; those behind a `*` are passed by
name.
`python -m yolo_balance.integration.contract` compares this list with the installed release.

The Protocols exist for type checkers and for that comparison: an object of Ultralytics is never made one of them, since
a Protocol's empty methods would hide those of Ultralytics.
"""

from yolo_balance.integration.protocols.data_protocols import (
    OURS,
    Batch,
    DataContent,
    Dataset,
    FolderTree,
    ImageFolder,
    ImageLabels,
    ImageSample,
    Loader,
    MixTransform,
    MosaicTransform,
    Transforms,
)
from yolo_balance.integration.protocols.loss_protocols import (
    Assigner,
    BoxLoss,
    Criterion,
    DETRCriterion,
    ElementwiseLoss,
    EndToEndCriterion,
    Gains,
    Matcher,
    Varifocal,
)
from yolo_balance.integration.protocols.model_protocols import DecoderHead, DenseHead, Network, YOLOModel
from yolo_balance.integration.protocols.prediction_protocols import (
    Backend,
    Handle,
    Images,
    PredictedBoxes,
    Prediction,
    Predictor,
    Source,
)
from yolo_balance.integration.protocols.releases import Releases
from yolo_balance.integration.protocols.run_protocols import Arguments, Callback
from yolo_balance.integration.protocols.training_protocols import Average, Checkpoint, Trainer
from yolo_balance.integration.protocols.validation_protocols import Labelled, Metrics, Precision, Predicted, Validator

__all__ = [
    "OURS",
    "Arguments",
    "Assigner",
    "Average",
    "Backend",
    "Batch",
    "BoxLoss",
    "Callback",
    "Checkpoint",
    "Criterion",
    "DETRCriterion",
    "DataContent",
    "Dataset",
    "DecoderHead",
    "DenseHead",
    "ElementwiseLoss",
    "EndToEndCriterion",
    "FolderTree",
    "Gains",
    "Handle",
    "ImageFolder",
    "ImageLabels",
    "ImageSample",
    "Images",
    "Labelled",
    "Loader",
    "Matcher",
    "Metrics",
    "MixTransform",
    "MosaicTransform",
    "Network",
    "Precision",
    "Predicted",
    "PredictedBoxes",
    "Prediction",
    "Predictor",
    "Releases",
    "Source",
    "Trainer",
    "Transforms",
    "Validator",
    "Varifocal",
    "YOLOModel",
]
