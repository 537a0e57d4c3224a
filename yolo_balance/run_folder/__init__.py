"""The files of a run's folder: each file's name, its writer and its reader."""
