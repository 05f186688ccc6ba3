"""Creates a ResNet-18, classifies a photograph, reads the verdict of its statistics and downloads its weights."""

import json
import os
import sys
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

ADDRESS = os.environ.get("RESINIT", "http://127.0.0.1:8080")
KEY = os.environ.get("RESINIT_KEY", "")


def call(path, body=None, content_type="application/json"):
    """Returns the bytes of a response. Sends POST if there is a body, otherwise GET."""
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": content_type}
    try:
        with urlopen(Request(ADDRESS + path, data=body, headers=headers)) as answer:
            return answer.read()
    except HTTPError as error:
        # Errors are problem documents (RFC 9457) with the cause and the cure.
        sys.exit(json.load(error)["detail"])


photograph = Path(sys.argv[1]).read_bytes()
specification = {
    "architecture": "resnet18",
    "initializers": {"kernel": "he_normal"},
    "seed": 7,
    "name": "example",
}

# The response arrives when the model is ready. The same specification always gives the same model.
model = json.loads(call("/v1/models", json.dumps(specification).encode()))
print("model", model["id"])

prediction = json.loads(call("/v1/models/example/predict?top_k=1", photograph, "image/jpeg"))
[best] = prediction["predictions"][0]["classes"]
print(f"class {best['index']}: logit {best['logit']}, probability {best['probability']}")

# Flagged parameters contradict their initializer.
totals = json.loads(call("/v1/models/example/statistics"))["totals"]
flagged = ", ".join(totals["flagged"])
print(f"verdict: {f'flagged are {flagged}' if flagged else 'every parameter matches he_normal'}")

weights = call("/v1/models/example/weights")
Path("example.safetensors").write_bytes(weights)
print(f"weights: {len(weights)} bytes")
