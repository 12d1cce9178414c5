"""TorchServe's own way to explanations: a handler derived from its BaseHandler, with Captum in `get_insights`.

TorchServe imports this file by its basename and wants exactly one class in it. It is put into an archive at run time
with the classifier that explaind serves, and answers raw bytes, which cost less than the usual JSON.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from captum.attr import IntegratedGradients
from ts.torch_handler.base_handler import BaseHandler

from explaind.backends import networks, torch_operations, weights

STEPS = 50
"""Captum's own default."""


class CaptumHandler(BaseHandler):
    def initialize(self, context):
        torch.set_num_threads(1)
        folder = Path(context.system_properties["model_dir"])
        tables = networks.read(folder)
        self.context = context
        self.device = torch.device("cpu")
        self.shape = tables.image_shape
        self.model = torch_operations.open_classifier(tables, weights.read(folder)).eval()
        self.gradients = IntegratedGradients(self.model)
        self.initialized = True

    def preprocess(self, data):
        """One request's float32 pixels as bytes."""
        body = data[0].get("body") or data[0].get("data")
        pixels = np.frombuffer(body, np.float32).reshape(1, *self.shape)
        return torch.from_numpy(pixels.copy())

    def postprocess(self, data):
        return [data.numpy().tobytes()]

    def get_insights(self, tensor_data, _, target=0):
        """The attribution of the predicted class, float32 as bytes."""
        with torch.inference_mode():
            target = int(self.model(tensor_data).argmax())
        return [self.gradients.attribute(tensor_data, target=target, n_steps=STEPS)[0].detach().numpy().tobytes()]
