"""whylogs on a frame of numbers, run by its own interpreter: `python whylogs_profile.py FRAME.npy` prints CPU seconds and bytes."""

from __future__ import annotations

import json
import sys
import time

import numpy as np
import pandas as pd
import whylogs

values = np.load(sys.argv[1], allow_pickle=False)  # (rows, columns)
frame = pd.DataFrame(values, columns=[f"x{i}" for i in range(values.shape[1])])
whylogs.log(frame[:100])  # what it loads at its first call is not counted
start = time.process_time()
profile = whylogs.log(frame)
seconds = time.process_time() - start
print(json.dumps({"seconds": seconds, "bytes": len(profile.view().serialize())}))
