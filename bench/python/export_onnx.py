"""Writes a weights file of the service as ONNX: export_onnx.py weights.safetensors network.onnx"""

import sys
from pathlib import Path

from network import onnx_of

if __name__ == "__main__":
    weights, target = sys.argv[1:]
    Path(target).write_bytes(onnx_of(weights))
