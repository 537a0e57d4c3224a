#!/bin/sh
# Train, report, gate, predict: a model reaches the line only if it shows the recall that was promised.
#
#     sh examples/pipeline.sh
#     WEIGHTS=best.pt DATA=mine.yaml SPLIT=test TARGETS=targets.yaml SOURCE=images sh examples/pipeline.sh
#
# Runs as it stands, from the folder that holds cfg/, on the demo set: five minutes on two CPU cores. With WEIGHTS no
# training. The demo set has no test split, so val is read, which chose best.pt as well; on your own data read a split
# that neither training nor you have looked at.
#
# Exit code: 0 targets met and images predicted; 1 a target missed, images not judged, or a mistake said in one line;
# 2 too few objects to say; 3 a bug; 4 a mistake that the gate says in one line; 130 interrupted.
set -u

CONFIG=${CONFIG:-cfg/defects.yaml}
DATA=${DATA:-demo}
SPLIT=${SPLIT:-val}
TARGETS=${TARGETS:-examples/targets.yaml}
BUDGET=${BUDGET:-0.1}
FOLDER=${FOLDER:-$PWD/runs/pipeline}
WEIGHTS=${WEIGHTS:-}
SOURCE=${SOURCE:-}

# A step that has to succeed; what is wrong it has printed itself.
step() {
    yolo_balance "$@"
    code=$?
    case $code in
    0) return ;;
    1) echo "pipeline: $1 stopped on a mistake in its arguments, files or data, said above" >&2 ;;
    3) echo "pipeline: $1 hit a bug, its traceback is above" >&2 ;;
    130) echo "pipeline: $1 was interrupted" >&2 ;;
    *) echo "pipeline: $1 was ended from outside, code $code" >&2 ;;
    esac
    exit "$code"
}

if [ -z "$SOURCE" ]; then  # what to predict at the end; the demo set's images, where they are drawn
    [ "$DATA" = demo ] || { echo "pipeline: SOURCE: missing, expected the images to predict" >&2; exit 1; }
    SOURCE=$(python -c 'from ultralytics.utils import DATASETS_DIR as d; print(d / "yolo_balance_demo/images/val")') ||
        exit 3
fi

if [ -z "$WEIGHTS" ]; then
    step train "$CONFIG" data="$DATA" project="$FOLDER" name=train exist_ok=true
    WEIGHTS=$FOLDER/train/weights/best.pt
fi

step report "$WEIGHTS" data="$DATA" split="$SPLIT" --config "$CONFIG" --out "$FOLDER/report"

# The gate answers by its code, and any but 0 keeps the model off the line.
yolo_balance gate "$FOLDER/report/recall.json" --targets "$TARGETS" --budget "$BUDGET"
code=$?
case $code in
0) echo "pipeline: every promised recall is shown" ;;
1) echo "pipeline: a promise is missed; the model stays off the line" >&2 ;;
2) echo "pipeline: nothing is missed, but too few objects to say; collect those the gate names" >&2 ;;
4) echo "pipeline: a promise could not be checked; the model stays off the line" >&2 ;;
*) echo "pipeline: the gate failed, code $code" >&2 ;;
esac
[ "$code" -eq 0 ] || exit "$code"

step predict "$WEIGHTS" "$SOURCE" --thresholds "$FOLDER/report/thresholds.yaml"
