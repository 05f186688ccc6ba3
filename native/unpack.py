"""Unpacks the needed files of the wheels in a directory: unpack.py WHEELS TREE"""

import os
import pathlib
import re
import shutil
import sys
import zipfile

# The C API's headers only: the whole include/ is 13,000 files of the C++ interface. The libraries lie in
# lib/ with nvidia/ beside it, since their RUNPATH looks for CUDA in $ORIGIN/../nvidia/*/lib; of nvidia/,
# headers and static libraries stay out.
WANTED = [
    (re.compile(r"tensorflow/(include/(?:tensorflow/c|tensorflow/core/platform|xla/tsl|tsl)/.+\.h)$"), r"\1"),
    (re.compile(r"tensorflow/(libtensorflow_(?:cc|framework)(?:\.so\.2|\.2\.dylib))$"), r"lib/\1"),
    (re.compile(r"(nvidia/(?!.*/include/).+)(?<!\.a)$"), r"\1"),
]

wheels, tree = map(pathlib.Path, sys.argv[1:])
for wheel in sorted(wheels.glob("*.whl")):
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            for pattern, place in WANTED:
                found = pattern.match(member.filename)
                if not found or member.is_dir():
                    continue
                target = tree / found.expand(place)
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(member) as source, open(target, "wb") as file:
                    shutil.copyfileobj(source, file, 1 << 20)
                    # Synced before the tree gets its final name, so that no name refers to an incomplete file after a power cut.
                    file.flush()
                    os.fsync(file.fileno())
                target.chmod(0o755 if (member.external_attr >> 16) & 0o111 else 0o644)
    wheel.unlink()
