"""Synthesis: objects of rare classes cut out of train images and pasted into others, with patches of clean surface.

Drawing is separate from applying. `PastePolicy` draws the parameters of an image's pastes from seed, epoch and image
index alone, so that neither workers nor ranks have a part in them. `Paster` applies them: the same image, objects and
parameters give the same pixels and labels. Numpy and OpenCV only.

Sources: Dwibedi et al., Cut, Paste and Learn (2017), for blends drawn anew and for distractors; Dvornik et al.,
Modeling Visual Context (2018), for places that look like those around real objects; Ghiasi et al., Simple Copy-Paste
(2021).
"""

from yolo_balance.synthesis.bank import Bank
from yolo_balance.synthesis.objects import ImageObjects
from yolo_balance.synthesis.paste_draw import PasteDraw
from yolo_balance.synthesis.pasteable import Sources
from yolo_balance.synthesis.pasting import Paster
from yolo_balance.synthesis.policy import PastePolicy

__all__ = ["Bank", "ImageObjects", "PasteDraw", "PastePolicy", "Paster", "Sources"]
