"""Packaging. Requirements live in requirements.txt, the version in trivd_tf/_version.py."""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).resolve().parent


# For compiling a train step for a TPU on a machine without one.
AOT = ["jax>=0.10,<0.11", "libtpu>=0.0.42"]


def read_version() -> str:
    text = (ROOT / "trivd_tf" / "_version.py").read_text()
    return re.search(r'__version__ = "([^"]+)"', text).group(1)


def read_requirements() -> list[str]:
    lines = (line.strip() for line in (ROOT / "requirements.txt").read_text().splitlines())
    return [line for line in lines if line and not line.startswith("#")]


setup(
    name="trivd-tf",
    version=read_version(),
    description="TrIVD-GAN in TensorFlow: train, evaluate, export and use video prediction models",
    long_description=(ROOT / "README.md").read_text(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    # gin/ is installed inside the package as trivd_tf/gin_files. It must not be installed under
    # its own name, because a top-level `gin` is the gin-config library, and so has no __init__.py.
    # export/pretrained/ is installed as trivd_tf/pretrained: the models found by name.
    packages=[
        *find_packages(include=["trivd_tf", "trivd_tf.*"]),
        "trivd_tf.gin_files",
        "trivd_tf.pretrained",
    ],
    package_dir={"trivd_tf.gin_files": "gin", "trivd_tf.pretrained": "export/pretrained"},
    package_data={
        "": ["*.txt", "py.typed"],
        "trivd_tf.gin_files": ["*/*.gin"],
        "trivd_tf.pretrained": ["**/*"],
        "trivd_tf.demo": ["page/*"],
    },
    install_requires=read_requirements(),
    extras_require={
        # Cloud TPU. tensorflow-tpu has its own `tensorflow` module, but other requirements depend
        # on the package tensorflow: the same version of both is needed, and docs/scaling.md
        # explains how to make the TPU's files take precedence.
        "tpu": ["tensorflow-tpu==2.19.1", "tensorflow==2.19.1"],
        "aot": AOT,
        "serving": ["tensorflow-serving-api>=2.19,<2.22", "grpcio>=1.66"],
        "demo": ["starlette>=0.40", "uvicorn>=0.30"],
        "beam": ["apache-beam>=2.77,<2.78"],
        # Frame generator of `trivd prepare`, which runs through Beam like every other set.
        "vizdoom": ["vizdoom>=1.2.4,<1.4", "apache-beam>=2.77,<2.78"],
        "gym": ["gymnasium>=1.0,<2", "apache-beam>=2.77,<2.78"],
        "dev": [
            *AOT,
            "apache-beam>=2.77,<2.78",
            # Tests execute docs/tour.ipynb.
            "ipykernel>=6.29,<8",
            "nbclient>=0.10,<0.12",
            "nbformat>=5.10,<6",
            "mypy>=1.15",
            "pytest>=8.3",
            "pytest-xdist>=3.7",
            "ruff>=0.11",
            "pyyaml>=6",
            "scikit-image>=0.25",
            "vizdoom>=1.2.4,<1.4",
            "gymnasium[classic-control]>=1.0,<2",
            # The demo, and a browser driver for its test (if Chromium is installed).
            "starlette>=0.40",
            "uvicorn>=0.30",
            "playwright>=1.45",
            "tensorflow-serving-api>=2.19,<2.22",
        ],
    },
    entry_points={"console_scripts": ["trivd = trivd_tf.cli.main:main"]},
    classifiers=[
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
