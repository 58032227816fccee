"""Dataset sources: CIFAR-10, folders of images, and generated shapes."""
