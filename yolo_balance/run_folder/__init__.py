"""The files of a run's folder: each file's name, its writer and its reader.

`names` lists every file. `history` has the rows by epoch, `balance_file` balance.yaml, `measured` run.json,
`detections` detections.npz, `state` what a run that resumes takes up again, `kept_epochs` which rows by epoch then
stay, and `lock` the right to train in the folder. recall.json and thresholds.yaml are
written and read by the objects that they hold, `recall.RecallReport` and `recall.Thresholds`.
"""
