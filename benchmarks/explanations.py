"""Explanation maps on drawn fakes, whose manipulated region is known: are they better than chance?

    tfdeepfake prepare synthetic_faces --height-px 128 --width-px 128 --data-dir data
    tfdeepfake train baseline --data synthetic_faces/clip_16x2_mtcnn_m0.3_128x128_dis --data-dir data --run-dir runs/2d
    python benchmarks/explanations.py runs/2d --videos data/synthetic_faces_videos [--sheet maps.png]

Prints for each map of each network means over videos with 95 % intervals from 1,000 draws of persons with all their
videos: the part of the map inside the region that was manipulated, beside that of an even map, of a bell in the middle
of the crop (where faces are), of the mean map of the other persons' fakes (a map that is always the same), and of the
network with shuffled weights; and by how much the areas under the deletion and insertion curves differ from those of
random orders. Videos with an empty map are counted and left out of the rows that need one.
"""

import argparse
import collections
from pathlib import Path

import numpy as np

from tfdeepfake.quiet import load_tensorflow

load_tensorflow()

from PIL import Image  # noqa: E402

from tfdeepfake import model_inputs  # noqa: E402
from tfdeepfake.data import faces, synthetic  # noqa: E402
from tfdeepfake.data.examples import extract  # noqa: E402
from tfdeepfake.explain import draw, scored  # noqa: E402
from tfdeepfake.explain.gradcam import gradcam, sites  # noqa: E402
from tfdeepfake.explain.masks import region_of  # noqa: E402
from tfdeepfake.explain.samples import most_suspicious, sample_of, with_maps  # noqa: E402
from tfdeepfake.explain.video import score_function  # noqa: E402
from tfdeepfake.model_folder import load_model  # noqa: E402
from tfdeepfake.verdict.inference import score  # noqa: E402
from tfdeepfake.verdict.timelines import Shown, network_inputs  # noqa: E402

ROWS = (
    ("mask", "energy in the mask"),
    ("even", "  an even map"),
    ("middle", "  a bell in the middle"),
    ("shuffled", "  shuffled weights"),
    ("others", "  the mean map of other persons' fakes"),
    ("over_even", "map minus even"),
    ("over_middle", "map minus bell"),
    ("over_shuffled", "map minus shuffled"),
    ("over_others", "map minus the mean map of others"),
    ("deletion", "deletion minus random (below 0 is better)"),
    ("insertion", "insertion minus random (above 0 is better)"),
    ("likeness", "likeness to shuffled"),
)


def fakes(per_method, identities, strength):
    """Test videos of the drawn set, as many of each method."""
    seen = collections.Counter()
    for spec in synthetic.make_set(identities, strength=strength):
        if spec.split == "test" and spec.label and seen[spec.method] < per_method:
            seen[spec.method] += 1
            yield spec


def shown_of(model, recipe, examples):
    """The most suspicious sample of the first face."""
    rows = list(network_inputs(examples, model_inputs.input_type(model)))
    logits = score(model, [(e.frames[at], None if e.flow is None else e.flow[at]) for e, at in rows], 8)
    samples = [
        sample_of(Shown(e.face, e, at, float(logit)), recipe) for (e, at), logit in zip(rows, logits, strict=True)
    ]
    worst = most_suspicious(samples)
    return worst[min(worst)]


def measured(model, places, recipe, function, sample, region, num_random):
    """{row: value} of one sample for each site, None where it is undefined."""
    values, inputs = sample.maps, sample.inputs(model)
    batch = {name: x[None] for name, x in inputs.items()}
    of_site = {}
    shuffled = collections.defaultdict(list)
    for seed in range(3):
        with scored.randomised(model, seed):
            for name, maps in function(batch).items():
                shuffled[name].append(maps.values[0])
    for site in places:
        name, own = site.name, values[site.name]
        energy = scored.energy_in(own, region)
        of_shuffled = [e.value for one in shuffled[name] if (e := scored.energy_in(one, region)).value is not None]
        alike = [r for one in shuffled[name] if (r := scored.similarity(own, one)) is not None]
        row = {"mask": energy.value, "even": energy.chance}
        row["middle"] = scored.energy_in(scored.middle(own.shape), region).value
        row["shuffled"] = float(np.mean(of_shuffled)) if of_shuffled else None
        for other in ("even", "middle", "shuffled"):
            known = row["mask"] is not None and row[other] is not None
            row[f"over_{other}"] = row["mask"] - row[other] if known else None
        say = score_function(model, site, None, recipe)
        curves, _ = scored.curve_scores(say, inputs, own, site.input_name, num_random)
        for key, beside in curves.items():
            row[key] = None if beside.value is None else beside.value - beside.chance
        row["likeness"] = float(np.mean(alike)) if alike else None
        of_site[name] = row
    return of_site


def beside_others(rows, maps, regions, persons):
    """Puts into each row the part of the mean map of the other persons' fakes in its region."""
    for row, region, person in zip(rows, regions, persons, strict=True):
        own = row["mask"]
        others = [one for one, other in zip(maps, persons, strict=True) if other != person]
        row["others"] = scored.energy_in(np.mean(others, axis=0), region).value if others else None
        row["over_others"] = own - row["others"] if None not in (own, row["others"]) else None


def interval(values, persons, seed=0):
    """Mean and 95 % interval over persons."""
    people = np.unique(persons)
    rng, means = np.random.default_rng(seed), []
    for _ in range(1000):
        drawn = rng.choice(people, len(people))
        means.append(np.mean(np.concatenate([values[persons == person] for person in drawn])))
    return float(np.mean(values)), *np.percentile(means, (2.5, 97.5)).tolist()


def report(network, site, rows, persons, methods):
    empty = sum(row["mask"] is None for row in rows)
    print(f"\n{network}, {site}: {len(rows)} fakes of {len(set(persons))} persons, {empty} with an empty map")
    for key, text in ROWS:
        known = np.array([row[key] is not None for row in rows])
        if not known.any():
            print(f"  {text:42} undefined")
            continue
        values = np.array([row[key] for row in rows if row[key] is not None])
        mean, low, high = interval(values, np.array(persons)[known])
        print(f"  {text:42} {mean:7.3f} [{low:.3f}, {high:.3f}]" + ("" if known.all() else f"  of {known.sum()}"))
    for method in sorted(set(methods)):
        pairs = [
            (r["mask"], r["even"]) for r, m in zip(rows, methods, strict=True) if m == method and r["mask"] is not None
        ]
        if pairs:
            print(
                f"  {method:42} {np.mean(pairs, axis=0)[0]:7.3f}, even {np.mean(pairs, axis=0)[1]:.3f}  of {len(pairs)}"
            )


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("models", nargs="+", help="saved model folders or run folders")
    p.add_argument(
        "--videos", required=True, help="synthetic_faces_videos of a prepared drawn set; drawn where missing"
    )
    p.add_argument("--per-method", type=int, default=16, help="fakes of each method [16, all]")
    p.add_argument("--identities", default="36,8,16", help="persons of each split, as of the prepared set [36,8,16]")
    p.add_argument("--strength", type=float, default=1.0, help="of the faults, as of the prepared set [1]")
    p.add_argument("--num-random", type=int, default=5, help="random orders for each curve [5]")
    p.add_argument("--layer", help="whose output is the map, of every network that is named [the last map]")
    p.add_argument("--sheet", help="image of one fake of each method, its mask and all maps")
    args = p.parse_args()
    cached, blocks = {}, collections.defaultdict(list)
    for folder in args.models:
        model, recipe = load_model(folder)
        places = sites(model, args.layer)
        detect, function = faces.make_detector(recipe.data.detector), gradcam(model, args.layer, recipe=recipe)
        rows, persons, methods = collections.defaultdict(list), [], []
        maps, regions = collections.defaultdict(list), []
        for spec in fakes(args.per_method, tuple(map(int, args.identities.split(","))), args.strength):
            path = Path(args.videos) / spec.split / spec.method / spec.file_name
            if not path.exists():
                synthetic.write_clip(spec, path.parent)
            key = (spec.video, repr(recipe.data))
            if key not in cached:
                masks = [mask for _, mask in synthetic.frames_of(spec)]
                cached[key] = extract(path, recipe.data, detect), masks
            examples, masks = cached[key]
            sample = shown_of(model, recipe, examples)
            (sample,) = with_maps([sample], model, [function], 1)
            pairs = zip(sample.indices, sample.matrices, strict=True)
            region = np.stack([region_of(masks[n], matrix, sample.frames.shape[1:3]) for n, matrix in pairs])
            for name, row in measured(model, places, recipe, function, sample, region, args.num_random).items():
                rows[name].append(row)
                maps[name].append(sample.maps[name])
            regions.append(region)
            persons.append(spec.target)
            methods.append(spec.method)
            if methods.count(spec.method) == 1:
                blocks[spec.method].append((recipe.network, sample, region))
            print(".", end="", flush=True)
        for name, of_site in rows.items():
            beside_others(of_site, maps[name], regions, persons)
            report(recipe.network, name, of_site, persons, methods)
    if args.sheet:
        write_sheet(args.sheet, blocks)


def write_sheet(path, blocks):
    """A row for each method: crop, mask, and the maps of each network on the frame where its map holds most."""
    lines = []
    for method, networks in sorted(blocks.items()):
        cells = []
        for network, sample, region in networks:
            t = int(sample.maps[next(iter(sample.maps))].sum(axis=(1, 2)).argmax())
            if not cells:
                mask = np.repeat(region[t][..., None], 3, axis=-1)
                cells += [draw.cell(sample, t, "crop"), np.asarray(Image.fromarray(mask).resize((draw.CELL_PX,) * 2))]
            cells += [draw.cell(sample, t, name) for name in sample.maps]
            print(f"{method}: {network}, frame {sample.indices[t]}, probability {sample.probability:.2f}")
        lines.append(np.concatenate(cells, axis=1))
    Image.fromarray(np.concatenate(lines)).save(path)


if __name__ == "__main__":
    main()
