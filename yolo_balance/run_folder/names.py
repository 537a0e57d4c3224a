"""Names of the files in a run's folder."""

BALANCE = "balance.yaml"
"""The section as it was asked for, and its resolution on the data."""

LOCK = "balance.lock"
"""The process that trains in the folder, while it does."""

# Rows by epoch
EXPOSURE, RECALL_ROWS, FEEDBACK = "exposure.csv", "recall.csv", "feedback.csv"
EPOCH_ROWS = (EXPOSURE, RECALL_ROWS, FEEDBACK)
FEEDBACK_PLOT = "feedback.png"

# The last validation of best.pt
RECALL, THRESHOLDS, PAGE = REPORT = ("recall.json", "thresholds.yaml", "recall.html")
MEASURED, DETECTIONS, PRIME_SAMPLES = "run.json", "detections.npz", "prime_samples.png"
OF_BEST = (*REPORT, MEASURED, DETECTIONS, PRIME_SAMPLES)
COMPARED = (MEASURED, DETECTIONS, RECALL)
"""The files of a finished run, which `compare` looks for; recall.json is written last of the three."""

CERTIFICATE = "certificate.json"
"""Answer of `certify`."""

# In weights/
WEIGHTS, BEST, LAST = "weights", "best.pt", "last.pt"
STATE, BEST_FITNESS, UNCALIBRATED = "balance_state.json", "best_fitness.pt", "best_uncalibrated.pt"
BESIDE_WEIGHTS = (STATE, BEST_FITNESS, UNCALIBRATED)

# Written by Ultralytics and read here
ARGUMENTS, RESULTS = "args.yaml", "results.csv"
