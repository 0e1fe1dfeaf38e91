"""A training process for tests to kill: python train_process.py CONFIG.json RUN_DIR [logical CPU devices]."""

import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path[:0] = [str(Path(__file__).resolve().parents[n]) for n in (1, 2)]


def main(config_path, run_dir, cpus=1):
    import tensorflow as tf

    device = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(device, [tf.config.LogicalDeviceConfiguration()] * cpus)
    from support import tiny_networks

    from tfdeepfake.files import read_json
    from tfdeepfake.training.config import TrainConfig
    from tfdeepfake.training.train import train

    tiny_networks.register()
    train(TrainConfig.from_dict(read_json(config_path)), run_dir)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:]))
