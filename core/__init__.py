"""The models and their training: PyTorch, NumPy where calls are many and small, no screen.

Shapes are written with these letters: B batch, T time, C channels, H×W image, D features, K heads.
A hidden size is written out (`hidden`), because H is height.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # NumPy's products compute alone too: see core.training.on_one_core
