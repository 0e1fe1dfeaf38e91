"""Which augmentation is drawn how often and how strongly: plain tables, read by `tfdeepfake.data.batches.augment`.

A policy is a list of steps (probability, {operation: range, ...}): with that probability one of the operations runs,
each of them as likely as the others. Steps run in the order given; neighbours that move pixels are one
resample together, and neighbours that change colours one matrix.

P0 IV-C names operations and Albumentations but neither probabilities nor ranges: those below are Albumentations'
defaults of 2020 (p 0.5, brightness and contrast 0.2, hue 20 of 180, saturation 30 and value 20 of 255, noise variance
10..50), with the hue and downscaling of the pipeline that P0's reference [19] published (10 of 180; 0.5 to 0.9), and,
for shear and rotation, P1's 10 degrees. Hue turns chroma at its luma, saturation and value are factors, so that grey
stays grey: 30 and 20 of 255 are 0.3 and 0.15 of what a face has. P1 2.2.5 prints its probabilities and most ranges;
what it leaves to Albumentations is as above. Its PadIfNeeded is left out of "p1": crops have the network's size, so it
would never act.
"""

# One operation by itself. Ranges: (least, most) is drawn evenly; one number is the most to either side of nothing.
OPERATIONS = {
    # Mirror left and right.
    "flip": (0.5, {}),
    # JPEG quality 0..100 (P1).
    "jpeg": (0.5, {"quality": (60, 100)}),
    # Variance of Gaussian noise, in grey levels squared.
    "noise": (0.5, {"variance": (10.0, 50.0)}),
    # Size the image is shrunk to and enlarged from, as a part of its own.
    "downscale": (0.5, {"factor": (0.5, 0.9)}),
    # Pixels times 1 + contrast, plus brightness * 255.
    "brightness_contrast": (0.5, {"brightness": 0.2, "contrast": 0.2}),
    # Turns of the colour circle; parts of saturation and value.
    "hue_saturation": (0.5, {"hue": 10 / 180, "saturation": 0.3, "value": 0.15}),
    # Standard deviation of the shift along the colours' principal axes, in eigenvalues.
    "fancy_pca": (0.5, {"alpha": 0.1}),
    # Luma in all three channels (P1).
    "grey": (0.2, {}),
    # Parts of width and height, of the size, degrees (P1).
    "shift_scale_rotate": (0.5, {"shift": 0.1, "scale": 0.2, "rotate_deg": 10.0}),
    "shear": (0.5, {"shear_deg": 10.0}),
    # Black border on every side, as a part of the image: what a crop beyond the frame's edge looks like.
    "pad": (0.5, {"border": (0.0, 0.1)}),
}

MIXES = ("none", "cutmix")


def _only(name, **ranges):
    return {name: OPERATIONS[name][1] | ranges}


def _single(name, probability=None, **ranges):
    return (OPERATIONS[name][0] if probability is None else probability, _only(name, **ranges))


POLICIES = {
    "none": (),
    "p0": (
        _single("downscale"),
        _single("brightness_contrast"),
        _single("hue_saturation"),
        _single("flip"),
        _single("shear"),
        _single("shift_scale_rotate", shift=0.0, scale=0.0),
        _single("noise"),
    ),
    "p1": (
        _single("jpeg"),
        _single("noise", 0.1),
        (0.7, _only("brightness_contrast") | _only("fancy_pca") | _only("hue_saturation", hue=20 / 180)),
        _single("grey"),
        _single("shift_scale_rotate"),
    ),
}


def steps(augment: str) -> tuple:
    """The steps of a name: a policy, an operation, or several of both joined by "+", such as "flip+jpeg+noise".

    Raises:
      ValueError: a part is neither, or an operation occurs twice (two flips by one draw would undo each other).
    """
    chosen = ()
    for part in augment.split("+"):
        if part not in POLICIES and part not in OPERATIONS:
            raise ValueError(
                f"augment needs one of {', '.join(POLICIES)}, {', '.join(OPERATIONS)}, or several joined by +, "
                f"got {augment!r}."
            )
        chosen += POLICIES[part] if part in POLICIES else (_single(part),)
    names = [name for _, choices in chosen for name in choices]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"augment needs every operation once, got {', '.join(twice)} twice in {augment!r}.")
    return chosen
