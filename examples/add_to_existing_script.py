"""Balance a training script you already have: two lines, everything else stays.

    python examples/add_to_existing_script.py

Runs as it stands, on the demo set and from scratch, in under a minute on a CPU. It is not a recipe: two epochs only
show that the recall table and the run's files appear. Put your own checkpoint, data YAML and epochs in.
"""

from ultralytics import YOLO

from yolo_balance import attach

model = YOLO("yolo26n.yaml")  # yours: YOLO("yolo26n.pt")
attach(model, {"sampling": {"power": 1.0, "max_repeat": 8.0}, "losses": {"focal": {"beta": 1.0}}})
model.train(data="demo", epochs=2, imgsz=128, plots=False)  # yours: data="defects.yaml", epochs=100
