"""Frames as JPEG bytes."""

import cv2
import numpy as np

from pipeline.errors import ArtifactError
from pipeline.frames.geometry import Image

cv2.setNumThreads(1)  # processes run in parallel, not threads


def encode_jpeg(image: Image, quality: int) -> bytes:
    """Encode RGB `uint8 [H, W, 3]`, with full colour resolution (4:4:4).

    Objects in a 48-pixel frame are a few pixels wide: at 4:2:0 they lose their colour.
    """
    settings = [
        cv2.IMWRITE_JPEG_QUALITY,
        quality,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
    ]
    done, data = cv2.imencode(".jpg", image[:, :, ::-1], settings)
    if not done:
        raise RuntimeError(f"cannot encode an image of shape {image.shape} as JPEG")
    return data.tobytes()


def decode_jpeg(data: bytes) -> Image:
    """Decode to RGB `uint8 [H, W, 3]`.

    Raises:
        ArtifactError: `data` is not a whole JPEG.
    """
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    if image is None:
        raise ArtifactError(
            f"a stored frame of {len(data)} bytes is not a JPEG: delete the folder that holds it and run `dvc repro`"
        )
    return image.astype(np.uint8, copy=False)
