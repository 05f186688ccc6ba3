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
    """The bytes of an answer: GET, or POST where there is a body."""
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": content_type}
    try:
        with urlopen(Request(ADDRESS + path, data=body, headers=headers)) as answer:
            return answer.read()
    except HTTPError as error:
        # Errors are problems (RFC 9457), which say what is wrong and what would be right.
        sys.exit(json.load(error)["detail"])


photograph = Path(sys.argv[1]).read_bytes()
specification = {
    "architecture": "resnet18",
    "initializers": {"kernel": "he_normal"},
    "seed": 7,
    "name": "example",
}

# The answer comes when the model is ready; the same specification is always the same model.
model = json.loads(call("/v1/models", json.dumps(specification).encode()))
print("model", model["id"])

prediction = json.loads(call("/v1/models/example/predict?top_k=1", photograph, "image/jpeg"))
[best] = prediction["predictions"][0]["classes"]
print(f"class {best['index']}: logit {best['logit']}, probability {best['probability']}")

# Flagged is what its initializer would not have drawn.
totals = json.loads(call("/v1/models/example/statistics"))["totals"]
flagged = ", ".join(totals["flagged"])
print(f"verdict: {f'flagged are {flagged}' if flagged else 'every parameter is what he_normal promises'}")

weights = call("/v1/models/example/weights")
Path("example.safetensors").write_bytes(weights)
print(f"weights: {len(weights)} bytes")
