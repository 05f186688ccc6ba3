"""Runs a client of the Open Inference Protocol against a service: `v2_clients.py CLIENT` with the task as JSON on stdin.

The task: url, model, images (uint8 as [n, height, width, channels]), encoded (a file in base64), labels, and the
expected results: logits, encoded_logits. A deviation raises.
"""
import asyncio
import base64
import json
import sys

import numpy as np

TASK = json.load(sys.stdin)
HOST = TASK["url"].removeprefix("http://")
MODEL = TASK["model"]
IMAGES = np.array(TASK["images"], dtype=np.uint8)
ENCODED = base64.b64decode(TASK["encoded"])
LOGITS = np.array(TASK["logits"], dtype=np.float32)


def near(given, wanted=LOGITS):
    assert given.dtype == np.float32, given.dtype
    np.testing.assert_allclose(given, wanted, atol=1e-4 * np.abs(wanted).max())


def check_classes(given, k):
    assert given.shape == (len(IMAGES), k), given.shape
    for row, logits in zip(given, LOGITS):
        order = np.argsort(-logits)[:k]
        for element, index in zip(row, order):
            element = element.decode() if isinstance(element, bytes) else element
            value, at, label = element.split(":", 2)
            assert int(at) == index and label == TASK["labels"][index], element
            assert abs(float(value) - logits[index]) < 1e-4 * np.abs(LOGITS).max(), element


def inputs_of(module):
    def tensor(name, values, datatype, binary):
        given = module.InferInput(name, list(values.shape), datatype)
        given.set_data_from_numpy(values, binary_data=binary)
        return [given]

    encoded = np.array([ENCODED] * 2, dtype=np.object_)
    text = np.array([base64.b64encode(ENCODED)] * 2, dtype=np.object_)
    return {
        "uint8, JSON": (tensor("images", IMAGES, "UINT8", False), LOGITS),
        "uint8, binary": (tensor("images", IMAGES, "UINT8", True), LOGITS),
        "float32, JSON": (tensor("images", IMAGES.astype(np.float32), "FP32", False), LOGITS),
        "float32, binary": (tensor("images", IMAGES.astype(np.float32), "FP32", True), LOGITS),
        "encoded, binary": (tensor("image_bytes", encoded, "BYTES", True), TASK["encoded_logits"]),
        "encoded, JSON": (tensor("image_bytes", text, "BYTES", False), TASK["encoded_logits"]),
    }


def outputs_of(module):
    output = module.InferRequestedOutput
    return {
        "all": None,
        "JSON": [output("logits", binary_data=False)],
        "binary": [output("logits", binary_data=True), output("probabilities", binary_data=False)],
    }


def check_metadata(server, model, config, index):
    assert set(server["extensions"]) >= {"binary_tensor_data", "classification", "model_repository", "statistics"}
    shape = [-1, *IMAGES.shape[1:]]
    assert model["inputs"][0] == {"name": "images", "datatype": "UINT8", "shape": shape}, model
    assert model["inputs"][1] == {"name": "image_bytes", "datatype": "BYTES", "shape": [-1]}, model
    for given, wanted in zip(config["input"], model["inputs"], strict=True):
        assert config["max_batch_size"] == 0 and given["dims"] == wanted["shape"], config
    assert config["input"][1]["optional"], config
    assert {"name": MODEL, "version": "1", "state": "READY", "reason": ""} in index, index


def check_statistics(statistics, least):
    [one] = statistics["model_stats"]
    assert one["inference_count"] >= least and one["execution_count"] > 0, one
    for tally in one["inference_stats"].values():
        assert isinstance(tally["ns"], int) and tally["ns"] >= 0 and tally["count"] >= 0, one


def sync():
    import tritonclient.http as triton

    client = triton.InferenceServerClient(HOST, concurrency=4)
    assert client.is_server_live() and client.is_server_ready()
    assert client.is_model_ready(MODEL) and client.is_model_ready(MODEL, "1") and not client.is_model_ready("nobody")
    check_metadata(
        client.get_server_metadata(),
        client.get_model_metadata(MODEL),
        client.get_model_config(MODEL, "1"),
        client.get_model_repository_index(),
    )
    for inputs, wanted in inputs_of(triton).values():
        for outputs in outputs_of(triton).values():
            result = client.infer(MODEL, inputs, outputs=outputs, request_id="seven", timeout=30_000_000)
            near(result.as_numpy("logits"), np.array(wanted, dtype=np.float32))
            assert result.get_response()["id"] == "seven"
    inputs, _ = inputs_of(triton)["uint8, binary"]
    for binary in (True, False):
        output = triton.InferRequestedOutput("logits", binary_data=binary, class_count=3)
        check_classes(client.infer(MODEL, inputs, outputs=[output]).as_numpy("logits"), 3)
    for sent in (None, "gzip", "deflate"):
        for asked in (None, "gzip", "deflate"):
            result = client.infer(
                MODEL, inputs, request_compression_algorithm=sent, response_compression_algorithm=asked
            )
            near(result.as_numpy("logits"))
    for pending in [client.async_infer(MODEL, inputs) for _ in range(8)]:
        near(pending.get_result().as_numpy("logits"))
    check_statistics(client.get_inference_statistics(MODEL), 8 * len(IMAGES))

    client.unload_model(MODEL)
    assert not client.is_model_ready(MODEL)
    client.load_model(MODEL)
    assert client.is_model_ready(MODEL)
    client.unload_model(MODEL)
    near(client.infer(MODEL, inputs).as_numpy("logits"))
    for call, says in (
        (lambda: client.load_model(MODEL, config='{"max_batch_size": 1}'), "immutable"),
        (lambda: client.load_model("nobody"), "nobody"),
        (lambda: client.get_model_metadata(MODEL, "2"), "version 2"),
        (lambda: client.infer(MODEL, inputs, sequence_id=1), "sequence_id"),
    ):
        try:
            call()
        except triton.InferenceServerException as error:
            assert says in error.message(), error
        else:
            raise AssertionError(says)
    client.close()


async def aio():
    import tritonclient.http.aio as triton

    async with triton.InferenceServerClient(HOST) as client:
        assert await client.is_server_live() and await client.is_server_ready() and await client.is_model_ready(MODEL)
        check_metadata(
            await client.get_server_metadata(),
            await client.get_model_metadata(MODEL),
            await client.get_model_config(MODEL),
            await client.get_model_repository_index(),
        )
        for inputs, wanted in inputs_of(triton).values():
            for outputs in outputs_of(triton).values():
                result = await client.infer(MODEL, inputs, outputs=outputs)
                near(result.as_numpy("logits"), np.array(wanted, dtype=np.float32))
        inputs, _ = inputs_of(triton)["uint8, binary"]
        for algorithm in ("gzip", "deflate"):
            result = await client.infer(
                MODEL,
                inputs,
                request_compression_algorithm=algorithm,
                response_compression_algorithm=algorithm,
            )
            near(result.as_numpy("logits"))
        output = triton.InferRequestedOutput("logits", class_count=2)
        check_classes((await client.infer(MODEL, inputs, outputs=[output])).as_numpy("logits"), 2)
        for result in await asyncio.gather(*(client.infer(MODEL, inputs) for _ in range(8))):
            near(result.as_numpy("logits"))
        check_statistics(await client.get_inference_statistics(MODEL), 8 * len(IMAGES))
        await client.unload_model(MODEL)
        assert not await client.is_model_ready(MODEL)
        await client.load_model(MODEL)
        assert await client.is_model_ready(MODEL)


async def kserve():
    import httpx
    from kserve import InferInput, InferRequest, InferenceRESTClient, RESTConfig

    url = TASK["url"]
    v2 = InferenceRESTClient(RESTConfig(protocol="v2"))
    assert await v2.is_server_live(url) and await v2.is_server_ready(url) and await v2.is_model_ready(url, MODEL)
    for values, datatype in ((IMAGES, "UINT8"), (IMAGES.astype(np.float32), "FP32")):
        for binary in (False, True):
            tensor = InferInput("images", list(values.shape), datatype)
            tensor.set_data_from_numpy(values, binary_data=binary)
            request = InferRequest(MODEL, [tensor], parameters={"binary_data_output": binary})
            result = await v2.infer(url, request, model_name=MODEL)
            logits = next(output for output in result.outputs if output.name == "logits")
            near(logits.as_numpy().reshape(LOGITS.shape))
    try:
        await v2.infer(url, {"inputs": []}, model_name=MODEL)
    except httpx.HTTPStatusError as error:
        assert "exactly one of images and image_bytes" in str(error), error
    else:
        raise AssertionError("no inputs are refused")
    assert not await v2.is_model_ready(url, "nobody")
    v1 = InferenceRESTClient(RESTConfig(protocol="v1"))
    assert await v1.is_server_live(url) and await v1.is_model_ready(url, MODEL)
    encoded = [{"b64": TASK["encoded"]}] * 2
    for instances, wanted in ((IMAGES.tolist(), LOGITS), (encoded, TASK["encoded_logits"])):
        result = await v1.infer(url, {"instances": instances}, model_name=MODEL)
        rows = [row["logits"] for row in result["predictions"]]
        near(np.array(rows, dtype=np.float32), np.array(wanted, dtype=np.float32))
    try:
        await v1.infer(url, {"instances": []}, model_name=MODEL)
    except httpx.HTTPStatusError as error:
        assert "at least one instance" in str(error), error
    else:
        raise AssertionError("no instances are refused")


if __name__ == "__main__":
    client = globals()[sys.argv[1]]()
    if asyncio.iscoroutine(client):
        asyncio.run(client)
