"""Package metadata; versions and their reasons are in BUILD_NOTES.md."""

import runpy
from pathlib import Path

from setuptools import find_packages, setup

REQUIREMENTS = runpy.run_path(
    str(Path(__file__).with_name("tfp_flows") / "requirements.py")
)
TFP = list(REQUIREMENTS["TFP"])
TFP_NIGHTLY = list(REQUIREMENTS["TFP_NIGHTLY"])
EXPERIMENTS = [
    "absl-py>=2.0",
    "scikit-learn>=1.6",
    "pandas>=2.2",
    "scipy>=1.10",
    "h5py>=3.10",
    "matplotlib>=3.8",
    "markdown-it-py>=3.0",
    "pillow>=10",
    "tensorboard>=2.20",
]
ROOMS = find_packages("experiments", exclude=["compatibility"])
COMMANDS = ["tfp_flows_experiments", *(f"tfp_flows_experiments.{room}" for room in ROOMS)]
JAX = ["jax>=0.5"]
ONNX = ["onnx>=1.17", "onnxruntime>=1.19"]
STAN = ["bridgestan>=2.7"]
# pytest 9.2 no longer tells pytest-xdist 3.8 which tests belong together.
CHECKS = ["pytest>=8,<9.2", "pytest-xdist>=3.5", "ruff==0.17.*", "mypy>=1.18,<3"]
CHECKS += ["setuptools>=70.1"]  # which tests build a wheel with
CHECKS += ["hypothesis>=6.100"]
# A minor version each, since warnings are errors: newer ones may warn of other things.
DOCS = ["sphinx==9.0.*", "furo==2025.12.*", "myst-nb==1.4.*", "myst-parser==5.2.*"]
DOCS += ["sphinx-copybutton==0.5.*", "ipykernel>=6.29"]

setup(
    name="tfp_flows",
    version="0.2.0",
    description="Normalizing flows for TensorFlow Probability, with Keras 3 networks.",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    keywords=[
        "normalizing flows",
        "density estimation",
        "variational inference",
        "variational autoencoder",
        "TensorFlow Probability",
        "Keras",
    ],
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "Operating System :: OS Independent",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: Scientific/Engineering :: Mathematics",
        "Typing :: Typed",
    ],
    packages=find_packages(include=["tfp_flows", "tfp_flows.*"]) + COMMANDS,
    # Outside the package, whose import takes TensorFlow.
    py_modules=["tfp_flows_jax"],
    # Not under its own name, which a user's folder may have: see experiments/__init__.py.
    package_dir={"tfp_flows_experiments": "experiments"},
    entry_points={"console_scripts": ["tfp-flows = tfp_flows_experiments.__main__:main"]},
    package_data={"tfp_flows": ["py.typed"]},
    python_requires=">=3.10,<3.14",
    install_requires=[
        REQUIREMENTS["TENSORFLOW"],
        "keras>=3.12,<3.16",
        "numpy>=1.26",
    ],
    extras_require={
        "tfp": TFP,
        "tfp-nightly": TFP_NIGHTLY,
        "experiments": EXPERIMENTS,
        "arviz": ["arviz>=0.20"],
        "sklearn": ["scikit-learn>=1.6"],
        "jax": JAX,
        "onnx": ONNX,
        "stan": STAN,
        "dev": [*EXPERIMENTS, *CHECKS, *JAX, *ONNX, *TFP],
        "dev-nightly": [*EXPERIMENTS, *CHECKS, *JAX, *ONNX, *TFP_NIGHTLY],
        "docs": [*EXPERIMENTS, *DOCS, *TFP],
        "bench": ["torch", "nflows", "jax<0.7", "distrax", "dm-haiku", "optax", *TFP],
        "bench-peers": [
            *TFP,
            "torch",
            "nflows",
            "normflows",
            "zuko",
            "FrEIA",
            "flowjax",
            "optax",
        ],
    },
)
