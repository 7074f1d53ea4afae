"""The engine room: requests become rows, rows are denoised together, and what comes of them is handed back.

`denoise.py` is THE loop. Around it, from the request to the token: `run` (one call of the front door) -> `batcher`
(who is denoised now) -> `answer`, `infill` (a request's rows) -> `denoise` -> `forward` (predictions) -> `commit`.
"""
