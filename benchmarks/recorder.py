"""What recording costs a training step: `uv run benchmarks/recorder.py`.

ResNet18 on 32 pixels, batches of 128, SGD, on the CPU: the processor time of a step, and what `agreement.watch` adds to it. The shortest of
some steps; 10 classes, and 1,000.
"""

import tempfile
import time

import torch
from torch.utils.data import DataLoader, TensorDataset
from torchvision.models import resnet18

import agreement

BATCH, STEPS = 128, 3

for classes in (10, 1000):
    torch.manual_seed(0)
    images, targets = torch.randn(BATCH * STEPS, 3, 32, 32), torch.randint(classes, (BATCH * STEPS,))
    network = resnet18(num_classes=classes)
    optimizer = torch.optim.SGD(network.parameters(), 0.01)
    steps, noted = [], []
    with tempfile.TemporaryDirectory() as folder:
        loader, watch = agreement.watch(DataLoader(TensorDataset(images, targets), batch_size=BATCH), folder)
        for batch, labels in loader:
            begun = time.process_time()
            logits = network(batch)
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(logits, labels).backward()
            optimizer.step()
            steps.append(time.process_time() - begun)
            begun = time.process_time()
            watch(logits, labels)
            noted.append(time.process_time() - begun)
    step, note = min(steps), min(noted)
    print(
        f"{classes} classes: a step {1000 * step:.1f} ms, recording it {1000 * note:.3f} ms ({note / step:.2%}; "
        f"{1e6 * note / BATCH:.2f} µs an example)"
    )
