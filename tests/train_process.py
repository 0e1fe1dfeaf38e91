"""A training process for tests to kill: python train_process.py CONFIG.json RUN_DIR [logical CPU devices]."""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)), os.path.dirname(os.path.dirname(os.path.abspath(__file__)))]


def main(config_path, run_dir, cpus=1):
    import tensorflow as tf

    device = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(device, [tf.config.LogicalDeviceConfiguration()] * cpus)
    import tiny_networks

    from tfdeepfake import training
    from tfdeepfake.config import TrainConfig
    from tfdeepfake.files import read_json

    tiny_networks.register()
    training.train(TrainConfig.from_dict(read_json(config_path)), run_dir)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:]))
