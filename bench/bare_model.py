"""A model behind a bare uvicorn application, to measure the built-in deployer against: `uvicorn bare_model:app`, MODEL its pickle."""

from __future__ import annotations

import json
import os
import pickle

import numpy as np

with open(os.environ["MODEL"], "rb") as file:
    MODEL = pickle.load(file)


async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    parts = []
    more = True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    if scope["path"] == "/health":
        body = b'{"status": "ok"}'
    else:
        rows = np.asarray(json.loads(b"".join(parts))["instances"], dtype="float64")
        body = json.dumps({"predictions": MODEL.predict_proba(rows).tolist()}).encode()
    head = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    await send({"type": "http.response.body", "body": body})
