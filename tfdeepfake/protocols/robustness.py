"""Models on perturbed copies of labelled videos, by the path of `predict` (arXiv:2403.10261, Table 4 and Fig. 7)."""

import hashlib
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tfdeepfake.data import video
from tfdeepfake.data.perturb import PERTURBATIONS, SEVERITIES
from tfdeepfake.data.perturb.files import SUFFIXES, write_perturbed
from tfdeepfake.data.perturb.operations import BLOCKS_FROM_PX, is_noop
from tfdeepfake.errors import InputError
from tfdeepfake.evaluation import estimates
from tfdeepfake.evaluation.aggregation import source_groups, video_scores
from tfdeepfake.protocols.cells import FAILED, Cell, Member, members_of
from tfdeepfake.protocols.figures import Figure, of_level, write_tables
from tfdeepfake.protocols.work import Options, Plot, Reports, Series, Work, Written, kind_of_data
from tfdeepfake.scoring.table import select, table
from tfdeepfake.scoring.table_file import read_scores
from tfdeepfake.verdict.calibrate import labelled
from tfdeepfake.verdict.results import digest, printable_path, score_rows, stamp
from tfdeepfake.vocabulary import DRAWN_DATA

CLEAN = "unperturbed"


def robustness(models: Sequence[str], data: Sequence[str], run_dir: Path, options: Options) -> Work:
    """The protocol of that name."""
    copies = Copies(data[0], run_dir, options.perturbations, options.severities, options.keep_copies)
    return Work(cells_of(members_of(models), copies), lambda reports: write(run_dir, reports, copies))


class Copies:
    """The perturbed copies of labelled videos, one perturbation and severity at a time unless they are kept.

    Args:
      data: folder with the subfolders real/ and fake/, or a CSV file `file,label[,data_set,method,source]`.
      run_dir: the copies lie in its copies/.
      perturbations, severities: which; all when None.
      keep: whether they stay there.
    """

    def __init__(
        self, data: str | Path, run_dir: Path, perturbations: Sequence[str] | None = None,
        severities: Sequence[int] | None = None, keep: bool = False,
    ):  # fmt: skip
        self.perturbations = list(dict.fromkeys(perturbations or PERTURBATIONS))
        self.severities = sorted(set(severities or SEVERITIES))
        for name in self.perturbations:
            if name not in PERTURBATIONS:
                raise InputError("--perturbations", f"needs some of {', '.join(PERTURBATIONS)}, got {name!r}.")
        media, labels = labelled(data)
        self.media = [(Path(path), name) for path, name in media]
        self.labels, self.folder, self.keep, self.ready = labels, run_dir / "copies", keep, {}
        self.facts = {"media": digest([[name, stamp(path), labels.get(name)] for path, name in self.media])}
        if not self.media:
            raise InputError(data, "holds no video or image.", "Give a folder with real/ and fake/, or a CSV file.")

    @property
    def version(self) -> str:
        """ "synthetic_faces" where all files lie in its folder of videos, else ""."""
        drawn = all(f"{DRAWN_DATA}_videos" in path.absolute().parts for path, _ in self.media)
        return DRAWN_DATA if drawn else ""

    def write(self, name: str, severity: int) -> tuple[dict[str, Path], dict[str, str]]:
        """Writes the copies that are not there; ({name of a video: its copy}, {name: why it has none})."""
        if (name, severity) in self.ready:
            return self.ready[name, severity]
        if not self.keep and self.folder.is_dir():
            # Those of a run that was stopped at this step are used again.
            for other in self.folder.iterdir():
                if other.name != f"{name}-{severity}":
                    shutil.rmtree(other)
            self.ready.clear()
        copies, failed = {}, {}
        for path, below in self.media:
            number = int.from_bytes(hashlib.sha256(below.encode()).digest()[:4], "big")
            # The file's state is in the name, so that a copy of what stood there before is not taken for it.
            state = hashlib.sha256(f"{path.absolute()} {stamp(path)}".encode()).hexdigest()[:16]
            try:
                out = self.folder / f"{name}-{severity}" / f"{state}{_suffix(path)}"
                if not out.exists():
                    # A folder of frames is not written at once: only a whole one gets the name.
                    begun = out.with_name(f"{state}-begun") if path.is_dir() else out
                    shutil.rmtree(out.with_name(f"{state}-begun"), ignore_errors=True)
                    write_perturbed(path, begun, name, severity, [0, number])
                    if begun != out:
                        begun.rename(out)
                copies[below] = out
            except video.VideoError as error:
                failed[below] = error.problem
        self.ready[name, severity] = copies, failed
        return copies, failed

    def unchanged(self) -> list[str]:
        """A sentence for each perturbation that does nothing to some of the videos, as they are too small for it."""
        sizes, told = [], []
        for path, _ in self.media:
            try:
                of_file = video.probe(path)
                sizes.append((of_file.height, of_file.width))
            except video.VideoError:
                continue  # its cells say so
        for name in self.perturbations:
            if small := sum(is_noop(name, *size) for size in sizes):
                told.append(
                    f"{name} changes nothing below {BLOCKS_FROM_PX} px, as its authors define it: {small} of "
                    f"{len(self.media)} videos stay as they are."
                )
        return told

    def sourceless(self) -> list[str]:
        """A sentence where videos name no source."""
        if not (count := sum(not self.labels[below].get("source") for _, below in self.media)):
            return []
        total = len(self.media)
        return [f"{count} of {total} videos name no source and count as independent: intervals may be too narrow."]

    def done(self) -> None:
        """Deletes the copies, unless they are to be kept."""
        if not self.keep:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.ready.clear()


def _suffix(path):
    if path.is_dir():
        return ""
    if video.probe(path).is_image:
        return ".png"
    return path.suffix.lower() if path.suffix.lower() in SUFFIXES else ".mp4"


def cells_of(members: Sequence[Member], copies: Copies) -> list[Cell]:
    """Every model on the videos as they are, then on each copy; all models on one copy before the next is written."""
    networks, cells = {}, []
    steps = [None, *((name, severity) for name in copies.perturbations for severity in copies.severities)]
    for step in steps:
        for member in members:

            def score(member=member, step=step):
                return _score(member, step, copies, networks), {"step": step, "version": copies.version}

            def measure(member=member, step=step):
                return _measure(member, copies, networks)

            on = CLEAN if step is None else f"{step[0]} {step[1]}"
            value = None if step is None else PERTURBATIONS[step[0]][0][step[1] - 1]
            cells.append(
                Cell(member.name, on, member.facts | copies.facts | {"value": value}, score, member.recipe, measure)
            )
    return cells


def _network(member, networks):
    from tfdeepfake.verdict.batch import load_network

    if member.name not in networks:
        networks[member.name] = load_network(member.folder, runtime="keras")
    return networks[member.name]


def _measure(member, copies, networks):
    """Seconds for all videos as they are, from the second of them; writing a copy comes on top."""
    from tfdeepfake.verdict.batch import judge_many

    network, seconds = _network(member, networks), 0.0
    for path, _ in copies.media[:2]:
        start = time.perf_counter()
        judge_many([path], network)
        seconds = time.perf_counter() - start
    return seconds * len(copies.media)


def _score(member, step, copies, networks):
    from tfdeepfake.verdict.batch import judge_many

    if step is None:
        files, failed = {name: path for path, name in copies.media}, {}
    else:
        files, failed = copies.write(*step)
    if not files:
        raise InputError(
            copies.folder, f"no video can be perturbed ({next(iter(failed.values()))}).", "Check the files."
        )
    names = {printable_path(path): name for name, path in files.items()}
    verdicts = judge_many(list(files.values()), _network(member, networks))["verdicts"]
    named = [verdict | {"name": names[verdict["file"]]} for verdict in verdicts]
    named += [{"name": name, "status": "unreadable", "faces": []} for name in failed]
    return table(list(score_rows(named, copies.labels)))


def _mean(model, name, rows):
    """Mean AUC over severities, of the videos scored at each, with the interval of that mean."""
    videos = [video_scores(*one) for one in rows]
    keys = [list(zip(v["data_set"], v["method"], v["video"], strict=True)) for v in videos]
    usable = [
        {key for key, good in zip(k, (v["label"] >= 0) & np.isfinite(v["score"]), strict=True) if good}
        for k, v in zip(keys, videos, strict=True)
    ]
    common = sorted(set.intersection(*usable))
    counts = {"scored": len(common), "videos": len(keys[0])}
    chosen = [select(v, np.array([k.index(key) for key in common], int)) for k, v in zip(keys, videos, strict=True)]
    labels = chosen[0]["label"]
    counts |= {"fake": int((labels == 1).sum()), "real": int((labels == 0).sum())}
    if not counts["fake"] or not counts["real"]:
        return Figure(model, name, **counts, remark="needs fakes and reals that are scored at every severity")
    _, groups = np.unique(source_groups(chosen[0])[0], return_inverse=True)
    each = [estimates.auc(labels, v["score"], groups) for v in chosen]
    parts = np.mean([one.parts for one in each], axis=0)
    mean = estimates.Estimate(float(np.mean([one.value for one in each])), parts, each[0].counts, each[0].spread)
    return Figure(
        model, name, mean.value, estimates.interval(mean), **counts, sources=int(groups.max()) + 1, remark=mean.reason
    )


def write(run_dir: Path, reports: Reports, copies: Copies) -> Written:
    """Both tables, of the mean over severities and of each, and the curves; the copies are deleted."""
    copies.done()
    by_step = {(cell.model, cell.on): (cell, report) for cell, report in reports}
    steps = {
        key: Figure(*key, failed=report[FAILED]) if FAILED in report else of_level(*key, report["levels"]["video"])
        for key, (_, report) in by_step.items()
    }
    models, means = list(dict.fromkeys(cell.model for cell, _ in reports)), []
    for model in models:
        means.append(steps[model, CLEAN])
        for name in copies.perturbations:
            several = [(model, f"{name} {severity}") for severity in copies.severities]
            if any(steps[key].failed for key in several):
                lost = ", ".join(on for _, on in several if steps[model, on].failed)
                means.append(Figure(model, name, failed=f"no scores for {lost}"))
                continue
            rows = []
            for cell, report in (by_step[key] for key in several):
                cuts = report["thresholds"]
                where = read_scores(run_dir / cell.folder / "scores.csv")
                rows.append((where, cuts["video_rule"], cuts["temperature"], report["unit"], cuts["faces_rule"]))
            means.append(_mean(model, name, rows))
    told = "Video-level AUC with its 95 % interval by source, numbers of scored videos, and coverage."
    severities = ", ".join(map(str, copies.severities))
    over = f"Mean of the AUC over severities {severities}, of the videos scored at each of them."
    title = f"Robustness to perturbations, on {kind_of_data(reports)}"
    same = [*copies.sourceless(), *copies.unchanged()]
    mean_sheet = write_tables(run_dir, "robustness", title, [told, over, *same], "model", means)
    sheet = write_tables(run_dir, "severities", f"{title}, by severity", [told, *same], "model", list(steps.values()))
    from tfdeepfake.protocols.curves import severity_curves

    severity_curves(run_dir / "severities.png", steps, models, copies.perturbations, copies.severities, CLEAN)
    figures = [*means, *(figure for key, figure in steps.items() if key[1] != CLEAN)]
    plots = [_panel(name, steps, models, copies.severities) for name in copies.perturbations]
    return Written([mean_sheet, sheet], figures, plots)


def _panel(name, steps, models, severities):
    """The curves of a perturbation; severity 0 is the videos as they are.

    What has no interval is of too few videos to be a point of a curve; the table says so.
    """
    places = [(0, CLEAN), *((severity, f"{name} {severity}") for severity in severities)]
    lines = []
    for model in models:
        known = [(x, steps[model, on]) for x, on in places if steps[model, on].interval]
        bars = [(x, *figure.interval) for x, figure in known]
        lines.append(Series(model, [(x, figure.value) for x, figure in known], bars))
    return Plot(name.replace("_", " "), "severity (0: unperturbed)", "AUC, video level", lines, (0, 5))
