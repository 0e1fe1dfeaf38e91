"""Where published ImageNet files are, and what their networks expect: facts that networks and checkpoints share."""

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# With a variant and the first digits of the file's sha256.
EFFICIENTNET_FILES = "https://github.com/lukemelas/EfficientNet-PyTorch/releases/download/1.0/efficientnet-{}-{}.pth"
_SWIN_FILES = "https://github.com/SwinTransformer/storage/releases/download/v1.0.0/swin_base_patch4_window7_224{}.pth"
SWIN_FILE, SWIN_22K_FILE = _SWIN_FILES.format(""), _SWIN_FILES.format("_22k")
# Buffers in files of Swin Transformers that the network computes for itself.
SWIN_UNUSED = ("num_batches_tracked", "relative_position_index", "attn_mask")
VIT_FILE = "model.safetensors of https://huggingface.co/timm/vit_base_patch16_224.augreg_in21k (or ..._ft_in1k)"
